"""Components that users write: a decorated function, or a class with a ``run`` method."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from fluent_pipe.artifacts import TYPES, Artifact, Examples
from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps import carrying
from fluent_pipe.steps.base import ArtifactType, Pairs
from fluent_pipe.steps.functions import UserFunction

OUT = "out"
PIPELINE = "pipeline"
_TAKEN = ("runs",)
_EXAMPLE = "def report(examples: fp.Examples, out: Path): ..."

Outputs = ArtifactType | Sequence[ArtifactType]


class Component:
    """A component of one's own as a class, for :meth:`~fluent_pipe.pipeline.Pipeline.apply`.

    A subclass, best a frozen dataclass whose fields are its arguments, says what it leaves and has a method ``run``
    with the parameters that :func:`component` tells of.

    Parameters
    ----------
    inputs
        Artifact types by parameter of ``run``. Default: from its annotations.
    outputs
        Artifact type, or types, that it leaves, all in one folder.
    version
        Raise it to have results made anew although the code is the same.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fluent_pipe as fp
    >>> class Note(fp.Artifact):
    ...     facts_file = "note.json"
    >>> class TakeNote(fp.Component):
    ...     outputs = Note
    ...     def run(self, examples: fp.Examples, out: Path) -> None:
    ...         (out / "note.json").write_text("{}")
    >>> fp.Pipeline("flights").from_csv("flights.csv").apply(TakeNote)
    Pipeline('flights'): from_csv -> take_note
    """

    inputs: ClassVar[Mapping[str, ArtifactType] | None] = None
    outputs: ClassVar[Outputs]
    version: ClassVar[int] = 1
    run: Callable[..., Any]


@dataclass(frozen=True)
class UserComponent:
    """A component as ``apply`` takes it: what it is called with, and what it leaves.

    Parameters
    ----------
    name
        In snake case; the id of its step.
    function
        The user's function, or the bound ``run`` of an instance.
    inputs
        Artifact types by parameter.
    outputs
        Artifact types that it leaves.
    version
        The user's own.
    arguments
        What it is called with beside its inputs.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[tuple[str, ArtifactType], ...]
    outputs: tuple[ArtifactType, ...]
    version: int = 1
    arguments: Pairs = field(default=(), hash=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # By cloudpickle, that is by value: the function's own name means this component.
        return _rebuilt, (carrying.dumps([getattr(self, f.name) for f in fields(self)]),)

    def __call__(self, *unnamed: Any, **arguments: Any) -> UserComponent:
        """The same component with arguments.

        Raises
        ------
        ArgumentError
            If it does not take them, or they are not given by name.
        """
        if unnamed:
            example = ", ".join(f"{name}=..." for name in self.takes) or "nothing"
            raise ArgumentError(f"{self.name}() takes its arguments by name: {example}.", where=self.where)
        for name in arguments:
            if name not in self.takes and not _has_any(self.function):
                fact = f"{self.name}() takes no argument {name!r}."
                raise ArgumentError(fact, where=self.where, got=name, valid=self.takes)
        named = {**dict(self.arguments), **arguments}
        return replace(self, arguments=tuple(sorted(named.items())))

    @property
    def builds(self) -> bool:
        """Whether it builds Beam transforms: its first parameter is ``pipeline``. Else it is called on a worker."""
        return next(iter(_parameters(self.function)), None) == PIPELINE

    @property
    def flows(self) -> bool:
        """Whether what it leaves may be used while it is still flowing, in the same Beam job."""
        return self.builds and self.outputs == (Examples,)

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of its arguments."""
        others = {PIPELINE, OUT, *(name for name, _ in self.inputs)}
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return tuple(n for n, p in _parameters(self.function).items() if n not in others and p.kind in named)

    @property
    def where(self) -> str:
        """Function, file and line."""
        return UserFunction(self.function, self.name).where

    @classmethod
    def of(cls, given: Any) -> UserComponent:
        """Check what was given to ``apply``.

        Raises
        ------
        ArgumentError
            If it is no component, or an argument is missing.
        """
        if isinstance(given, UserComponent):
            empty = inspect.Parameter.empty
            known = dict(given.arguments)
            parameters = _parameters(given.function)
            for name in given.takes:
                if parameters[name].default is empty and name not in known:
                    raise ArgumentError(
                        f"{given.name}() needs {name}=.",
                        where=given.where,
                        fix=f"Give it: apply({given.name}({name}=...)). An input is annotated with an artifact type.",
                    )
            return given
        instance = _made(given) if isinstance(given, type) and issubclass(given, Component) else given
        if not isinstance(instance, Component):
            raise ArgumentError(
                f"apply() takes a component, got {_shown(given)}.",
                fix="Decorate a function with @fp.component(outputs=...), or give a subclass of fp.Component.",
            )
        kind = type(instance)
        if not callable(getattr(instance, "run", None)) or not hasattr(kind, "outputs"):
            raise ArgumentError(f"{kind.__name__} lacks {'outputs' if hasattr(kind, 'run') else 'a method run'}.")
        checked = _checked(_snake(kind.__name__), instance.run, kind.inputs, kind.outputs, kind.version)
        if checked.takes:
            raise ArgumentError(
                f"{kind.__name__}.run takes {checked.takes[0]!r}, which is no input.",
                where=checked.where,
                fix="Make it a field of the class, or annotate it with an artifact type.",
            )
        return checked


def component(
    *, outputs: Outputs, inputs: Mapping[str, ArtifactType] | None = None, version: int = 1
) -> Callable[[Callable[..., Any]], UserComponent]:
    """Make a function a component, for :meth:`~fluent_pipe.pipeline.Pipeline.apply`.

    The function writes into the folder ``out`` and returns nothing. Its parameters:

    - one for each input: the published artifact, with its files and facts;
    - ``out``: the folder, a ``pathlib.Path``;
    - any other is an argument, given by name when the component is applied;
    - ``pipeline`` as the first makes it build Beam transforms on that ``beam.Pipeline``, in place of being called once
      on a worker. Inputs that are :class:`~fluent_pipe.artifacts.Examples` are then mappings of split to
      ``PCollection[pa.RecordBatch]``, in no order; a component whose output is Examples returns such a mapping of all
      splits, and the rows are written for it.

    Parameters
    ----------
    outputs
        Artifact type, or types, that it leaves, all in one folder: a subclass of ``fp.Artifact``, or one of the
        library's own, which later steps then use in place of what came before.
    inputs
        Artifact types by parameter. Default: the parameters that are annotated with one.
    version
        Raise it to have results made anew although the code is the same.

    Raises
    ------
    ArgumentError
        If the function or a type cannot be used so.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fluent_pipe as fp
    >>> class Longest(fp.Artifact):
    ...     facts_file = "longest.json"
    >>> @fp.component(outputs=Longest)
    ... def longest_trips(examples: fp.Examples, out: Path, *, count: int = 10) -> None:
    ...     (out / "longest.json").write_text("{}")
    >>> fp.Pipeline("trips").from_csv("trips.csv").apply(longest_trips(count=5))
    Pipeline('trips'): from_csv -> longest_trips
    """

    def made(function: Callable[..., Any]) -> UserComponent:
        if not inspect.isfunction(function):
            raise ArgumentError(
                f"@fp.component takes a function, got {_shown(function)}.",
                fix="A class is a component as a subclass of fp.Component.",
            )
        return _checked(_snake(function.__name__), function, inputs, outputs, version)

    return made


def _rebuilt(content: bytes) -> UserComponent:
    import pickle

    return UserComponent(*pickle.loads(content))


def _checked(name: str, function: Callable[..., Any], inputs: Any, outputs: Any, version: Any) -> UserComponent:
    where = UserFunction(function, name).where
    if not name.isidentifier() or name in _TAKEN:
        raise ArgumentError(f"A component cannot be called {name!r}.", where=where, fix="Give it another name.")
    if isinstance(version, bool) or not isinstance(version, int):
        raise ArgumentError(f"version= is a whole number, got {version!r}.", where=where)
    there = _parameters(function)
    if OUT not in there:
        fix = f"Take the folder to write into as `out`: {_EXAMPLE}"
        raise ArgumentError(f"{name} has no parameter `out`.", where=where, fix=fix)
    if any(p.kind is inspect.Parameter.POSITIONAL_ONLY for p in there.values()):
        raise ArgumentError(f"{name} has parameters that cannot be given by name.", where=where)
    given = _annotated(function) if inputs is None else inputs
    for parameter, kind in given.items():
        if parameter not in there:
            raise ArgumentError(f"{name} has no parameter {parameter!r}.", where=where, got=parameter, valid=there)
        _check_type(kind, f"inputs= of {name}", where)
    left = (outputs,) if isinstance(outputs, type) or not isinstance(outputs, Sequence) else tuple(outputs)
    for kind in left:
        _check_type(kind, f"outputs= of {name}", where)
    if not left:
        raise ArgumentError(f"outputs= of {name} names no artifact type.", where=where)
    return UserComponent(name, function, tuple(given.items()), left, version)


def _check_type(kind: Any, what: str, where: str) -> None:
    if not isinstance(kind, type) or not issubclass(kind, Artifact) or kind is Artifact:
        raise ArgumentError(
            f"{what} needs artifact types, got {_shown(kind)}.",
            where=where,
            fix=f"Give a subclass of fp.Artifact, or one of {', '.join(TYPES)}.",
        )
    if kind is not TYPES.get(kind.__name__, kind):
        fix = "Results are found by the names of their types: give it another."
        raise ArgumentError(f"{what}: {kind.__name__} is a type of fluent_pipe.", where=where, fix=fix)


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _has_any(function: Callable[..., Any]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in _parameters(function).values())


def _annotated(function: Callable[..., Any]) -> dict[str, ArtifactType]:
    plain = getattr(function, "__func__", function)
    found = {}
    for name, hint in inspect.get_annotations(plain).items():
        kind = hint
        if isinstance(hint, str):
            try:
                kind = eval(hint, plain.__globals__)
            except Exception:  # a name that only type checkers import is no artifact type
                continue
        if name != "return" and isinstance(kind, type) and issubclass(kind, Artifact):
            found[name] = kind
    return found


def _made(kind: type[Component]) -> Component:
    try:
        return kind()
    except TypeError as error:
        fact = f"{kind.__name__} cannot be made without arguments: {error}."
        raise ArgumentError(fact, fix=f"Give an instance: apply({kind.__name__}(...)).") from None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"the function {value.__name__}" if inspect.isroutine(value) else repr(value)
