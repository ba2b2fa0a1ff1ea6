"""What is recorded of a run so that it can be made again: expression, versions, commit, runner, command."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.report.blanking import blanked, is_secret
from fluent_pipe.report.expression import arguments, python_text
from fluent_pipe.steps.carrying import is_local_file
from fluent_pipe.steps.functions import UserFunction

if TYPE_CHECKING:
    from fluent_pipe.chain import Chain
    from fluent_pipe.runners.base import Runner

log = logging.getLogger(__name__)

PACKAGES = (
    "fluent-pipe",
    "apache-beam",
    "keras",
    "keras-tuner",
    "ml-metadata",
    "pyarrow",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tfx-bsl",
)
GIT_SECONDS = 0.5
MOST_RECORDED = 20_000
"""Characters of a property; MySQL keeps 65,535 bytes."""


@dataclass
class Commit:
    """The git commit of the user's code; git is asked beside other work, since it takes tens of milliseconds."""

    _asked: subprocess.Popen[str] | None

    @classmethod
    def of(cls, chain: Chain) -> Commit:
        """Ask for that of the folder where the user's functions lie, else the script, else this process."""
        return cls.at(_folder(chain))

    @classmethod
    def at(cls, folder: Path) -> Commit:
        """Ask for that of a folder."""
        # --dirty looks at files that git knows. fsmonitor would start a program that the repository names.
        options = ("-c", "core.fsmonitor=false", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
        try:
            return cls(
                subprocess.Popen(
                    ["git", *options],
                    cwd=folder,
                    env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
        except OSError:  # there is no git, or no such folder
            return cls(None)

    def name(self, seconds: float = GIT_SECONDS) -> str:
        """The commit, with ``-dirty`` where files have changed since; empty where git does not tell in time."""
        if self._asked is None:
            return ""
        try:
            said, _ = self._asked.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._asked.kill()
            self._asked.communicate()
            return ""
        return said.strip() if self._asked.returncode == 0 else ""


def recorded(chain: Chain, runner: Runner, commit: Commit) -> dict[str, str]:
    """Properties of a run that begins: ``expression``, ``asked``, ``versions``, ``runner``, ``command`` and so on.

    ``asked`` holds ``{step: {"arguments": {name: text}, "inputs": [step, ...]}}`` as JSON, ``versions`` a mapping.
    Nothing here fails a run.
    """
    ways = {
        "expression": lambda: python_text(chain),
        "asked": lambda: json.dumps(_asked(chain)),
        "versions": lambda: json.dumps(versions()),
        "commit": commit.name,
        "runner": lambda: blanked(repr(runner)),
        "command": command,
        "host": socket.gethostname,
        "folder": lambda: str(Path.cwd()),
    }
    found = {}
    for name, way in ways.items():
        try:
            value = way()
        except Exception as error:  # values of the user's own may raise anything when they are written out
            log.warning("The %s of the run could not be recorded: %s: %s", name, type(error).__name__, error)
            continue
        if value and (name not in ("asked", "versions") or len(value) <= MOST_RECORDED):
            found[name] = value[:MOST_RECORDED].encode("utf-8", "replace").decode()
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what results are; those that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def command() -> str:
    """The command that started this process, with passwords blanked; empty in a notebook."""
    program = Path(sys.argv[0])
    if program.stem in ("", "ipykernel_launcher"):
        return ""
    named = [program.name] if os.access(program, os.X_OK) and program.suffix != ".py" else ["python", str(program)]
    return shlex.join([*named, *_words(sys.argv[1:])])


def _words(words: list[str]) -> Iterator[str]:
    """Words of a command line without what options whose name says so keep secret: ``--token abc``, ``TOKEN=abc``."""
    for before, word in zip(["", *words], words, strict=False):
        name, equals, _ = word.partition("=")
        if before.startswith("-") and "=" not in before and is_secret(before):
            yield "***"
        else:
            yield f"{name}=***" if equals and is_secret(name) else blanked(word)


def _asked(chain: Chain) -> dict[str, Any]:
    return {
        step.id: {"arguments": arguments(step), "inputs": list(dict.fromkeys(r.step for r in step.inputs().values()))}
        for step in chain.steps
    }


def _folder(chain: Chain) -> Path:
    files = [*_files(chain), getattr(sys.modules.get("__main__"), "__file__", None) or ""]
    return next((Path(f).resolve().parent for f in files if is_local_file(f) and Path(f).is_file()), Path.cwd())


def _files(chain: Chain) -> Iterator[str]:
    """Files of the user's functions."""
    for step in chain.steps:
        for value in step.arguments().values():
            if isinstance(value, UserFunction):
                code = getattr(value.source, "__code__", None)
                yield code.co_filename if code else str(value.source)
