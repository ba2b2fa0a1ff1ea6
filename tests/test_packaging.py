"""The wheel: built, installed in a clean environment, and every room imported from it."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
UV = os.environ.get("UV") or shutil.which("uv")

IMPORT_ALL = """
import importlib, pathlib, pkgutil
import fluent_pipe
assert "site-packages" in fluent_pipe.__file__, fluent_pipe.__file__
names = [m.name for m in pkgutil.walk_packages(fluent_pipe.__path__, "fluent_pipe.")]
for name in names:
    importlib.import_module(name)
assert pathlib.Path(fluent_pipe.__file__).with_name("py.typed").exists()
print(len(names))
"""


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if UV is None:
        pytest.fail("uv is not on the path: pip install uv")
    folder = tmp_path_factory.mktemp("wheel")
    run(UV, "build", "--wheel", "--quiet", "-o", folder, PROJECT)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_examples_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {n.split("/")[0] for n in names}
    assert tops == {"fluent_pipe", next(t for t in tops if t.endswith(".dist-info"))}
    files = {"py.typed", "runners/logging.properties", "examples/flights/pipeline.py", "examples/flights/flights.ipynb"}
    files |= {"display/threshold_slider.js", "report/page.css", "ui/templates/run.html"}
    files |= {"report/page.css", "report/page.js"}
    files |= {f"runners/maven/{kind}.xml" for kind in ("flink", "spark")}
    files |= {"ui/templates/base.html", "ui/templates/_runs.html", "ui/static/page.css", "ui/static/icon.svg"}
    assert {f"fluent_pipe/{file}" for file in files} <= set(names)


@pytest.mark.slow
def test_every_room_imports_from_the_installed_wheel(wheel, tmp_path):
    python = tmp_path / "venv/bin/python"
    requirements = tmp_path / "requirements.txt"
    run(UV, "venv", "--quiet", "--python", "3.11", tmp_path / "venv")
    run(UV, "export", "--frozen", "--quiet", "--no-dev", "--no-emit-project", "-o", requirements, cwd=PROJECT)
    run(UV, "pip", "install", "--quiet", "--python", python, "-r", requirements, wheel)
    assert int(run(python, "-W", "ignore", "-c", IMPORT_ALL, cwd=tmp_path).split()[-1]) > 40
    assert "Exit codes" in run(tmp_path / "venv/bin/fluent-pipe", "--help", cwd=tmp_path)
