"""Fingerprints of module files that are not imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fluent_pipe.errors import ArgumentError
from fluent_pipe.store.fingerprint import of_module_file, of_module_name

SOURCE = "import tensorflow as tf\nimport helpers\n\ndef preprocessing_fn(inputs):\n    return helpers.scale(inputs)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "module.py").write_text(SOURCE)
    (folder / "helpers.py").write_text("from more import deep\n\ndef scale(x):\n    return deep(x)\n")
    (folder / "more.py").write_text("import helpers\n\ndef deep(x):\n    return x\n")
    return folder


def test_comments_docstrings_and_positions_do_not_count(project: Path) -> None:
    module = project / "module.py"
    before = of_module_file(module, "preprocessing_fn")
    module.write_text('"""Doc."""\n# why\n\n' + SOURCE.replace(":\n    return", ':\n    """Doc."""\n\n    return'))
    assert of_module_file(module, "preprocessing_fn") == before


def test_the_code_counts_and_nothing_is_imported(project: Path) -> None:
    module = project / "module.py"
    before = of_module_file(module, "preprocessing_fn")
    module.write_text(SOURCE.replace("scale(inputs)", "scale(inputs, 2)"))
    assert of_module_file(module, "preprocessing_fn") != before
    assert "helpers" not in sys.modules
    assert "more" not in sys.modules


@pytest.mark.parametrize("file", ["helpers.py", "more.py"])
def test_local_files_that_it_imports_count(project: Path, file: str) -> None:
    before = of_module_file(project / "module.py")
    imported = project / file
    imported.write_text(imported.read_text() + "# nothing\n")
    assert of_module_file(project / "module.py") == before
    imported.write_text(imported.read_text() + "LIMIT = 1\n")
    assert of_module_file(project / "module.py") != before


def test_packages_and_relative_imports_are_followed(project: Path) -> None:
    package = project / "parts" / "inner"
    package.mkdir(parents=True)
    (project / "parts" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("from ..base import BASE\n")
    (package / "leaf.py").write_text("from . import BASE\ndef leaf(): return BASE\n")
    (project / "parts" / "base.py").write_text("BASE = 1\n")
    module = project / "module.py"
    module.write_text("def preprocessing_fn(inputs):\n    from parts.inner import leaf\n    return leaf.leaf()\n")
    before = of_module_file(module)
    (package / "leaf.py").write_text("from . import BASE\ndef leaf(): return BASE + 1\n")
    changed = of_module_file(module)
    assert changed != before
    (project / "parts" / "base.py").write_text("BASE = 2\n")
    assert of_module_file(module) != changed


def test_a_project_that_moves_as_a_whole_keeps_its_keys(project: Path) -> None:
    before = of_module_file(project / "module.py")
    moved = project.rename(project.with_name("elsewhere"))
    assert of_module_file(moved / "module.py") == before


def test_a_module_is_found_by_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project))
    assert of_module_name("module:preprocessing_fn") == of_module_file(project / "module.py", "preprocessing_fn")
    assert "module" not in sys.modules


def test_mistakes_are_named(project: Path) -> None:
    with pytest.raises(ArgumentError, match=r"does not define 'preprocess_fn'.*Did you mean 'preprocessing_fn'"):
        of_module_file(project / "module.py", "preprocess_fn")
    with pytest.raises(ArgumentError, match="no module 'nowhere'"):
        of_module_name("nowhere:f")
    with pytest.raises(ArgumentError, match="cannot be read: No such file"):
        of_module_file(project / "missing.py")
    (project / "module.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(ArgumentError, match=r"module\.py:2: This is not valid Python"):
        of_module_file(project / "module.py")
