"""``apply``: a component of the user's own is called on a worker or builds transforms; what it leaves is checked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from fluent_pipe.artifacts import Artifact, Examples
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import ExamplesInput, Input
from fluent_pipe.components.left_examples import describe_examples
from fluent_pipe.components.row_functions import Whose
from fluent_pipe.components.rows import publish_rows
from fluent_pipe.components.user_code import Carried, called, raised_in_job
from fluent_pipe.errors import FluentPipeError, UserCodeError
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.own import Apply as ApplyStep
from fluent_pipe.steps.user_components import OUT, PIPELINE, UserComponent


class Apply(Component):
    """Calls a component of the user's own, and looks at what it left.

    Parameters
    ----------
    step, context
        What was asked for, and where it writes.
    inputs
        By parameter.

    Raises
    ------
    UserCodeError
        If it raises, returns what it should not, changes its inputs, or leaves what its types do not hold.
    """

    def __init__(self, step: ApplyStep, context: Context, inputs: Mapping[str, Input[Any]]) -> None:
        super().__init__(context)
        self._step = step
        self._own = step.component
        self._inputs = inputs
        self._left = _Left(self._own, step.split_names, context.step)
        self._guard = Guard(self._own.name, self._own.where, {})

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One call on a worker; or what the component builds, whose rows flow on where it leaves Examples."""
        if self._own.builds:
            self._refuse_out_of_reach()
            return self._build(pipeline)
        given = {name: one.value for name, one in self._inputs.items()}
        carried = Carried(UserFunction(self._own.function, self._own.name), **given, **dict(self._own.arguments))
        once(pipeline, "Call", self.context, _Call(carried, given, self.context, self._left))
        return {}

    def finish(self) -> bool:
        """Check the folder, and the inputs of a component that built transforms."""
        self._guard.check()
        if not self.context.is_remote:  # else the worker has looked, or what flowed was written by this package
            self._left.check(self.context.folder)
        return False

    def _refuse_out_of_reach(self) -> None:
        if self.context.is_remote and not self._own.flows:
            raise UserCodeError(
                f"{self._own.name} builds transforms that write into `out`, a folder of this machine, and workers do "
                "not share its disk.",
                where=self._own.where,
                fix="Make it a component that one worker calls, without `pipeline`, or one that returns Examples.",
            )

    def explain(self, error: Exception) -> FluentPipeError | None:
        mine = self._own.builds and f"while running '{self.context.step}/" in str(error)
        return raised_in_job(self._own.name, self._own.where, error) if mine else None

    def _build(self, pipeline: beam.Pipeline) -> Live:
        own = self._own
        stored = {n: i.value for n, i in self._inputs.items() if not isinstance(i, ExamplesInput)}
        rows = {
            n: _Rows(i, pipeline, self._step.split_names)
            for n, i in self._inputs.items()
            if isinstance(i, ExamplesInput)
        }
        self._guard = Guard(own.name, own.where, {name: a.path for name, a in stored.items()})
        given = {PIPELINE: pipeline, **stored, **rows, **dict(own.arguments), OUT: self.context.folder}
        returned = called(own.name, own.function, **given)
        if not own.flows:
            return {}
        whole = isinstance(returned, Mapping) and set(returned) == set(self._step.split_names)
        if not whole or not all(isinstance(rows, beam.PCollection) for rows in returned.values()):
            splits = ", ".join(self._step.split_names)
            raise UserCodeError(
                f"{own.name} returned {_shown(returned)}.",
                where=own.where,
                fix=f"It leaves Examples: return a mapping of each split ({splits}) to a PCollection of batches.",
            )
        return publish_rows(pipeline, self.context, dict(returned), Whose(own.name, own.where))


class _Rows(Mapping[str, Any]):
    """Examples as a component of the user's own sees them: a PCollection by split, read when it is asked for."""

    def __init__(self, examples: ExamplesInput, pipeline: beam.Pipeline, splits: tuple[str, ...]) -> None:
        self._examples = examples
        self._pipeline = pipeline
        self._splits = splits

    def __getitem__(self, split: str) -> beam.PCollection:
        if split not in self._splits:
            raise KeyError(f"there is no split {split!r}; there are: {', '.join(self._splits)}")
        return self._examples.read(self._pipeline, split)

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)


@dataclass(frozen=True)
class _Left:
    """What a component must have left in its folder."""

    own: UserComponent
    splits: tuple[str, ...]
    step: str

    def check(self, folder: Path) -> None:
        """Look at the folder; describe the Examples in it that the component wrote itself."""
        for kind in self.own.outputs:
            if kind is Examples and not self.own.flows:
                describe_examples(folder, self.splits, Whose(self.own.name, self.own.where))
            _check(self.own, kind(folder, "", self.step))


@dataclass(frozen=True)
class _Call:
    """The one call on a worker."""

    carried: Carried
    inputs: Mapping[str, Artifact]
    context: Context
    left: _Left

    def __call__(self) -> None:
        name, where, folder = self.carried.name, self.carried.where, self.context.folder
        guard = Guard(name, where, {given: artifact.path for given, artifact in self.inputs.items()})
        alone = self.context.is_remote  # the folder lies among those of other programs
        beside = set() if alone else set(folder.parent.iterdir())
        try:
            returned = self.carried(**{OUT: folder})
        finally:
            guard.check()
        if returned is not None:
            fix = "Write into `out` and return nothing."
            raise UserCodeError(f"{name} returned {_shown(returned)}.", where=where, fix=fix)
        strays = [] if alone else sorted(p.name for p in set(folder.parent.iterdir()) - beside)
        if strays:
            fact = f"{name} wrote outside of its folder: {', '.join(strays)}."
            raise UserCodeError(fact, where=where, fix="Write into `out`.")
        if alone:
            self.left.check(folder)


class Guard:
    """Watches over the inputs of a component: published results that nothing may change.

    What was added to one is removed. One that was changed otherwise is thrown away, so that the next run makes it anew.

    Parameters
    ----------
    name, where
        Of the component.
    inputs
        Folders by name.
    """

    def __init__(self, name: str, where: str, inputs: Mapping[str, Path]) -> None:
        self._name = name
        self._where = where
        self._before = {given: (folder, _listing(folder)) for given, folder in inputs.items()}

    def check(self) -> None:
        """Raise ``UserCodeError`` if an input is not what it was."""
        for given, (folder, known) in self._before.items():
            now = _listing(folder)
            if known == now:
                continue
            if all(now.get(path) == at for path, at in known.items()):
                for path in set(now) - set(known):
                    path.unlink()
                then = "What it added was removed."
            else:
                shutil.rmtree(folder, ignore_errors=True)
                then = "The next run makes that anew."
            fact = f"{self._name} changed its input {given!r} ({folder}). {then}"
            raise UserCodeError(fact, where=self._where, fix="Write into `out` alone.")


def _listing(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in _files(folder)}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _check(own: UserComponent, artifact: Artifact) -> None:
    """Raise ``UserCodeError`` if the folder does not hold what the type says."""
    kind, folder = type(artifact), artifact.path
    held = [pattern for pattern in (kind.facts_file, *kind.holds) if pattern]
    files = [p for p in _files(folder) if not p.relative_to(folder).parts[0].startswith(".")]
    left = [p.relative_to(folder).as_posix() for p in files]
    if not files:
        fix = f"Write {', '.join(held) or 'its files'} into `out`."
        raise UserCodeError(f"{own.name} left nothing in its folder.", where=own.where, fix=fix)
    link = next((p.name for p in files if p.is_symlink()), None)
    if link is not None:
        fix = "Copy what it points to."
        raise UserCodeError(f"{own.name} left a link, {link!r}.", where=own.where, fix=fix)
    for pattern in held:
        if not any(folder.glob(pattern)):
            fact = f"{own.name} left no {pattern}, which {kind.__name__} holds. It left {', '.join(left[:10])}."
            raise UserCodeError(fact, where=own.where, fix="Write it into `out`.")
    _check_facts(own, artifact)


def _check_facts(own: UserComponent, artifact: Artifact) -> None:
    kind = type(artifact)
    try:
        facts = artifact.facts()
        if not isinstance(facts, Mapping):
            raise UserCodeError(f"{kind.facts_file} of {own.name} holds no JSON object.", where=own.where)
        lacking = [key for key in kind.facts_keys if key not in facts]
        if lacking:
            fact = f"{kind.facts_file} of {own.name} lacks {', '.join(lacking)}, which {kind.__name__} holds."
            raise UserCodeError(fact, where=own.where, fix=f"It holds {', '.join(facts) or 'nothing'}.")
        artifact.summary()
    except json.JSONDecodeError as error:
        raise UserCodeError(f"{kind.facts_file} of {own.name} is not JSON: {error}.", where=own.where) from error
    except FluentPipeError:
        raise
    except Exception as error:
        fact = f"{kind.__name__} of {own.name} cannot be summed up: {type(error).__name__}: {error}."
        raise UserCodeError(fact, where=own.where) from error


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping of {', '.join(map(repr, value)) or 'nothing'}"
    return "nothing" if value is None else type(value).__name__
