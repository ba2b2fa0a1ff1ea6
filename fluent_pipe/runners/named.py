"""Runners by name: ``"flink"``, ``"flink --master=localhost:8081 --parallelism 8"``."""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.flags import from_flags

if TYPE_CHECKING:
    from fluent_pipe.runners.base import Runner

VARIABLE = "FLUENT_PIPE_RUNNER"
MEMBERS = ("name", "capabilities", "check", "session")  # of the protocol
HOMES: Mapping[str, str] = {
    "Dataflow": "fluent_pipe.runners.dataflow",
    "Direct": "fluent_pipe.runners.direct",
    "Flink": "fluent_pipe.runners.flink",
    "Portable": "fluent_pipe.runners.portable",
    "Spark": "fluent_pipe.runners.spark",
}


def named(text: str, *, homes: Mapping[str, str] = HOMES) -> Runner:
    """The runner that a text names, as on a command line.

    Parameters
    ----------
    text
        A runner's name, in any case, and its flags: its arguments, and beside them Beam's own where it takes
        ``options``. See :func:`~fluent_pipe.runners.flags.from_flags`.
    homes
        Modules of runners, by the name of their class.

    Raises
    ------
    ArgumentError
        If there is no such runner or flag, or a value is not valid.

    Examples
    --------
    >>> named("direct --workers=2 --mode=multi_threading")
    Direct(workers=2, mode='multi_threading')
    >>> named("driect")
    Traceback (most recent call last):
    fluent_pipe.errors.ArgumentError: There is no runner 'driect'. \
There are: dataflow, direct, flink, portable, spark. Did you mean 'direct'?
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ArgumentError(f"The runner {text!r} cannot be split into words: {error}.") from None
    classes = {name.lower(): name for name in homes}
    if not words or words[0].lower() not in classes:
        name = words[0] if words else ""
        raise ArgumentError(f"There is no runner {name!r}.", got=name, valid=classes)
    kind = classes[words[0].lower()]
    found: Runner = from_flags(getattr(importlib.import_module(homes[kind]), kind), words[1:])
    return found


def chosen(runner: Runner | str | None = None) -> Runner:
    """The runner that is meant.

    Parameters
    ----------
    runner
        A runner, or the text that names one; None for the environment's ``FLUENT_PIPE_RUNNER``, else
        :class:`~fluent_pipe.runners.direct.Direct`.

    Raises
    ------
    ArgumentError
        If it is none.

    Examples
    --------
    >>> chosen("direct")
    Direct(workers=1, mode='in_memory')
    """
    if isinstance(runner, str):
        return named(runner)
    if runner is None:
        return _by_environment() or named("direct")
    if isinstance(runner, type) and all(hasattr(runner, member) for member in MEMBERS):
        raise ArgumentError(
            f"run() takes a runner, got the class {runner.__name__}.", fix=f"Call it: {runner.__name__}()."
        )
    if isinstance(runner, type) or not all(hasattr(runner, member) for member in MEMBERS):
        # One of Beam's own, most likely: ours has its name.
        name = (runner if isinstance(runner, type) else type(runner)).__name__.removesuffix("Runner")
        ours = name if name in HOMES else "Direct"
        fix = f"Take one of fp.runners, such as fp.runners.{ours}()."
        raise ArgumentError(f"run() takes a runner, got {runner!r}.", fix=fix)
    return runner


def is_named() -> bool:
    """Whether the environment names a runner."""
    return bool(os.environ.get(VARIABLE, "").strip())


def _by_environment() -> Runner | None:
    if not is_named():
        return None
    try:
        return named(os.environ[VARIABLE])
    except ArgumentError as error:
        error.where = VARIABLE
        raise
