"""Find the pipeline in a user's file, for the command line."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fluent_pipe.chain import LOADING
from fluent_pipe.errors import ArgumentError, FluentPipeError, UserCodeError
from fluent_pipe.pipeline import Pipeline


def parse(settings: Sequence[str]) -> dict[str, Any]:
    """``["EPOCHS=3", "CITY=NYC"]`` as a mapping; a value that reads as a Python literal is one.

    Examples
    --------
    >>> parse(["EPOCHS=3", "CITY=NYC"])
    {'EPOCHS': 3, 'CITY': 'NYC'}
    """
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.isidentifier():
            raise ArgumentError(f"--set takes KEY=VALUE, got {setting!r}.", fix="For example --set EPOCHS=3.")
        try:
            parsed[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed[key] = value
    return parsed


def load(reference: str, settings: Mapping[str, Any], root: str | None = None) -> Pipeline:
    """The pipeline of ``FILE[:NAME]``.

    Parameters
    ----------
    reference
        A Python file; ``NAME`` is a global of it: a Pipeline, or a function without arguments that returns one.
        Without a name, ``pipeline`` is meant, or the file's only Pipeline.
    settings
        Values for globals that the file sets at its top level; they take the place of the file's own.
    root
        Overrides the pipeline's root; a folder or a URL.

    Raises
    ------
    ArgumentError
        If there is no such file or pipeline, or a setting names no global of the file.
    UserCodeError
        If the file raises.
    """
    file, name = _parts(reference)
    path = Path(file)
    if not path.is_file():
        raise ArgumentError(f"There is no file {file!r}.")
    module = _globals(path, settings)
    pipeline = _choose(module, name, file)
    return replace(pipeline, root=root) if root is not None else pipeline


def example(name: str) -> Path:
    """Path of one of the examples that come with the package."""
    return Path(__file__).parent / "examples" / name


def _parts(reference: str) -> tuple[str, str | None]:
    file, colon, name = reference.rpartition(":")
    return (file, name) if colon and name.isidentifier() else (reference, None)


def _globals(path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise UserCodeError(f"{error.msg}.", where=f"{path}:{error.lineno}") from None
    assigned: dict[str, ast.Assign | ast.AnnAssign] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        assigned |= {
            t.id: node for t in targets if isinstance(t, ast.Name) and isinstance(node, (ast.Assign, ast.AnnAssign))
        }
    for key, value in settings.items():
        if key not in assigned:
            raise ArgumentError(f"{path} sets no global {key!r} at its top level.", got=key, valid=assigned)
        assigned[key].value = ast.copy_location(ast.parse(repr(value), mode="eval").body, assigned[key])
    sys.path.insert(0, str(path.resolve().parent))  # its neighbours import, as for a script
    with _explained(path):
        return _execute(tree, path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What the user's file raises, as an error of its own; a pipeline in it is only made, not run."""
    token = LOADING.set(True)
    try:
        yield
    except FluentPipeError:
        raise
    except Exception as error:
        raise UserCodeError(f"{type(error).__name__}: {error}.", where=str(path)) from error
    finally:
        LOADING.reset(token)


def _execute(tree: ast.Module, path: Path) -> dict[str, Any]:
    module = types.ModuleType(f"_fluent_pipe_file_{path.stem}")
    module.__file__ = str(path.resolve())
    sys.modules[module.__name__] = module
    exec(compile(ast.fix_missing_locations(tree), str(path.resolve()), "exec"), module.__dict__)
    return module.__dict__


def _choose(module: Mapping[str, Any], name: str | None, file: str) -> Pipeline:
    there = {k: v for k, v in module.items() if isinstance(v, Pipeline)}
    if name is None:
        if len(there) == 1:
            return next(iter(there.values()))
        if not there:
            raise ArgumentError(
                f"{file} makes no Pipeline at its top level.",
                fix="Assign it to a global, or name a function: FILE:NAME.",
            )
        if "pipeline" in there:
            return there["pipeline"]
        raise ArgumentError(
            f"{file} makes {len(there)} pipelines.", valid=there, fix="Name one, FILE:NAME, or call one `pipeline`."
        )
    found = module.get(name)
    if callable(found) and not isinstance(found, Pipeline):
        with _explained(Path(file)):
            found = found()
    if not isinstance(found, Pipeline):
        raise ArgumentError(f"{file} has no pipeline {name!r}.", got=name, valid=there)
    return found
