"""Stand-ins for ``java`` and ``mvn``, for what cannot be had at will; the chain's results on each runner."""

import stat
import sys
from pathlib import Path

import pytest

from tests import needs
from tests.runners.ran import Results

JAVA = r"""#!{python}
import os, signal, socket, sys, time
if sys.argv[1:] == ["-version"]:
    print('openjdk version "{version}" 2025-04-15', file=sys.stderr)
    sys.exit()
{body}
"""


class Commands:
    """A folder of commands, the only ones on the path besides the system's own tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, text: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.folder / name
        command.write_text(text)
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        return command

    def java(self, version: str, body: str = "") -> Path:
        """A ``java`` that says its version, and otherwise does what the Python of ``body`` does."""
        return self.add("java", JAVA.format(python=sys.executable, version=version, body=body))


@pytest.fixture
def commands(tmp_path, monkeypatch):
    made = Commands(tmp_path / "bin")
    made.folder.mkdir()
    tools = tmp_path / "tools"  # of the system, without its Java and its Maven
    tools.mkdir()
    for name in ("sh", "sleep", "mkdir", "cp", "cat"):
        (tools / name).symlink_to(next(p for p in (Path("/bin") / name, Path("/usr/bin") / name) if p.exists()))
    monkeypatch.setenv("PATH", f"{made.folder}:{tools}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return made


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Results:
    return Results(tmp_path_factory.mktemp("same"))


@pytest.fixture(scope="session")
def flink_jar() -> Path:
    """The job server for Flink; the test is skipped without."""
    return needs.job_server("flink")


@pytest.fixture(scope="session")
def flink_distribution() -> Path:
    """A whole Flink; the test is skipped without."""
    return needs.flink_distribution()
