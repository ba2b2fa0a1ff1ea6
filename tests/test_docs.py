"""What the documents say is true: examples run, links lead somewhere, the picture is the plan's, every call is told."""

import ast
import doctest
import importlib.util
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fluent_pipe.cli import EXIT_CODES, app
from fluent_pipe.pipeline import Pipeline

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "flights" / "flights.ipynb"
GUIDE = ROOT / "docs" / "guide.md"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

by_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def headings(document):
    """Anchors of a document's headings, as they stand in links."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@by_document
def test_examples_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUENT_PIPE_ROOT", raising=False)
    # The end of a block must not be taken for the example's output.
    copy = tmp_path / document.name
    copy.write_text(re.sub(r"^```.*$", "", document.read_text(), flags=re.MULTILINE))
    done = doctest.testfile(str(copy), module_relative=False, encoding="utf-8")
    assert done.failed == 0
    assert done.attempted or document != GUIDE
    assert [p.name for p in tmp_path.iterdir()] == [document.name], "building and explaining write nothing"


@by_document
def test_other_code_is_python(document):
    for language, code in FENCED.findall(document.read_text()):
        if language == "python" and ">>>" not in code:
            ast.parse(code)


def test_the_notebook_is_as_nobody_has_run_it():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        if cell["cell_type"] == "code":
            ast.parse("".join(cell["source"]))
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]


@by_document
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", document.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), f"{document.name} links to {target}"
        assert not anchor or anchor in headings(file), f"{document.name} links to {target}"


def test_the_guide_tells_of_every_call():
    calls = {n for n in dir(Pipeline) if callable(getattr(Pipeline, n)) and not n.startswith("_")}
    assert {c for c in calls if not re.search(rf"\b{c}\b", GUIDE.read_text())} == set()


def test_the_picture_is_what_the_plan_is_now():
    spec = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "pictures" / "draw.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    drawn = draw.draw(draw.flights())
    assert draw.PICTURE.read_text() == drawn, "run docs/pictures/draw.py"
    assert not re.search(r"(href|src)=|url\((?!#)", drawn), "it needs nothing from elsewhere"


@pytest.mark.parametrize("command", ["", *(c.name or c.callback.__name__ for c in app.registered_commands)])
def test_help_tells_the_exit_codes(command):
    done = CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=200)
    assert done.exit_code == 0
    assert "Exit codes" in done.output


@pytest.mark.parametrize("document", [ROOT / "README.md", GUIDE], ids=lambda path: path.name)
def test_exit_codes_are_those_of_the_command(document):
    told = re.findall(r"^\| (\d+) \| (.+) \|$", document.read_text(), re.MULTILINE)
    assert "; ".join(f"{code} {meaning}" for code, meaning in told) in " ".join(EXIT_CODES.split())
