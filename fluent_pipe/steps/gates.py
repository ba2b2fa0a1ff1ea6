"""What hangs on a chain and is no step: conditions that later steps wait for, and hooks that hear how a run ended."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps.functions import UserFunction


@dataclass(frozen=True)
class Condition:
    """``when``: the steps that carry it run if it holds.

    Parameters
    ----------
    function
        ``function(run)`` that returns True or False.
    after
        Ids of the steps before it: the results that ``run`` has.
    """

    function: UserFunction
    after: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a person calls it: the function's name, and for a lambda its file and line."""
        code = getattr(self.function.source, "__code__", None)
        if code is None or self.function.name != "<lambda>":
            return self.function.name
        return f"the lambda at {Path(code.co_filename).name}:{code.co_firstlineno}"


@dataclass(frozen=True)
class Hook:
    """``on_success`` or ``on_failure``: a function that is called when a run has ended.

    Parameters
    ----------
    on
        Which end it hears of.
    function
        ``function(run)``, or ``function(failure)``.
    """

    on: Literal["success", "failure"]
    function: UserFunction


def of_one(function: Callable[..., Any] | str, call: str, argument: str) -> UserFunction:
    """What the user gave to ``call``, a function of one argument.

    Parameters
    ----------
    argument
        What it is called with, in a word; also its name in a module file.

    Raises
    ------
    ArgumentError
        If it is no function, or cannot be called with one argument.
    """
    user = UserFunction.of(function, name=call, call=call)
    if inspect.iscoroutinefunction(function):
        raise ArgumentError(
            f"{call}() takes a plain function; {user.name} is async.", where=user.where, fix="Call asyncio.run() in it."
        )
    if callable(function):
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # of a built-in function nothing is known
            return user
        try:
            signature.bind(None)
        except TypeError:
            raise ArgumentError(
                f"{call}() takes a function of one argument, {argument}; {user.name}{signature} is not.",
                where=user.where,
            ) from None
    return user
