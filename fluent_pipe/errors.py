"""Errors that say what happened, where, what is valid and what to do.

Every error that a user can meet derives from :class:`FluentPipeError`. Its parts are kept as attributes and the text
is built in ``__str__``, so an error that is raised on a worker crosses to the driver by pickle with nothing lost.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class FluentPipeError(Exception):
    """An error with its parts apart.

    Parameters
    ----------
    fact
        What happened, as one sentence without its full stop where parts follow.
    where
        File, row, column or function that the fact is about.
    got
        The value that was met.
    valid
        What would have been accepted. With ``got``, the nearest one is offered as "Did you mean".
    listed
        Whether the text lists ``valid``; without, only the nearest is named, where a list would be too long to read.
    fix
        What to do, as a sentence.
    step
        The step that was at work; filled in by the execution when the raiser does not know it.

    Examples
    --------
    >>> print(FluentPipeError("Label 'tip' is not a transformed feature.", got="tip", valid=["fare", "tips"]))
    Label 'tip' is not a transformed feature. There are: fare, tips. Did you mean 'tips'?
    """

    def __init__(
        self,
        fact: str,
        *,
        where: str | None = None,
        got: object = None,
        valid: Iterable[object] = (),
        listed: bool = True,
        fix: str | None = None,
        step: str | None = None,
    ) -> None:
        super().__init__(fact)
        self.fact = fact
        self.where = where
        self.got = got
        self.valid = tuple(str(v) for v in valid)
        self.listed = listed
        self.fix = fix
        self.step = step

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self.__dict__))

    def __str__(self) -> str:
        parts = [self.fact if self.where is None else f"{self.where}: {self.fact}"]
        if self.valid:
            shown = ", ".join(self.valid[:20])
            more = len(self.valid) - 20
            if self.listed:
                parts.append(f"There are: {shown}{f' and {more} more' if more > 0 else ''}.")
            near = difflib.get_close_matches(str(self.got), self.valid, n=1) if self.got is not None else []
            if near:
                parts.append(f"Did you mean {near[0]!r}?")
        if self.fix:
            parts.append(self.fix)
        return " ".join(parts)


def _rebuild(cls: type[FluentPipeError], state: dict[str, Any]) -> FluentPipeError:
    error = cls.__new__(cls)
    Exception.__init__(error, state.get("fact", ""))
    error.__dict__.update(state)
    return error


class ArgumentError(FluentPipeError, ValueError):
    """An argument of a call is not valid; raised at the call."""


class OrderError(FluentPipeError):
    """A call came before something it needs; raised at the call."""


class InputError(FluentPipeError):
    """The input data cannot be used: missing, empty, ragged, of other columns, or too many rejected rows."""


class AnomaliesFound(FluentPipeError):
    """``validate`` found anomalies and ``on_anomaly`` is ``"fail"``.

    ``left`` is the :class:`~fluent_pipe.artifacts.Artifact` that tells them, where they are kept.
    """

    left: Any = None


class UserCodeError(FluentPipeError):
    """A function that the user gave raised, or returned something that cannot be used."""


class TrainingError(FluentPipeError):
    """Training cannot start or went wrong: label, model, loss."""


class EvaluationError(FluentPipeError):
    """A metric, slice or threshold cannot be evaluated."""


class ServingError(FluentPipeError):
    """A prediction server cannot load the model, cannot be reached, or does not answer as it must."""


class StoreError(FluentPipeError):
    """The root or the metadata store cannot be read or written."""


class RunnerError(FluentPipeError):
    """A runner cannot be used: something that it needs is missing, or it ended a job for reasons of its own."""


class TemplateWritten(RunnerError):
    """A job was written as a template, ``where``, and nothing has run, as ``Dataflow(template_location=)`` asks."""


class ResourceError(FluentPipeError):
    """A step asks for more memory, processors or GPUs than this machine has; raised before any work starts."""


class ApprovalPending(FluentPipeError):
    """Nobody has approved yet, and the run is not to wait: it ends as ``"waiting"``. ``run()`` does not raise it."""


class StepFailed(FluentPipeError):
    """A step failed for a reason that no other error names; the log has the full traceback."""


class Interrupted(FluentPipeError, KeyboardInterrupt):
    """The run was stopped by Ctrl-C; finished steps stay cached. Is a ``KeyboardInterrupt`` too."""
