"""The user's functions round a run: conditions that are asked on its way, hooks that hear how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from fluent_pipe.errors import UserCodeError
from fluent_pipe.steps.functions import called
from fluent_pipe.steps.gates import Condition, Hook

if TYPE_CHECKING:
    from fluent_pipe.run import Run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """How a run failed, for ``on_failure``.

    Parameters
    ----------
    run_id
        Names the run: ``fluent-pipe show ID``.
    pipeline
        Name of the pipeline.
    step
        Id of the step that failed, where one did.
    error
        What ``run()`` raises.
    log
        File with all that Beam, TensorFlow and others said.
    """

    run_id: str
    pipeline: str
    step: str | None
    error: Exception
    log: Path


def holds(condition: Condition, run: Run) -> bool:
    """Whether a condition holds for what a run has made so far.

    Raises
    ------
    UserCodeError
        If it raises, or returns neither True nor False; names function, file and line.
    """
    function = condition.function
    answer = called(function, function.resolve(), run)
    kind = type(answer)
    if kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool_", "bool")):
        return bool(answer)
    said = "nothing" if answer is None else f"{answer!r:.60}, of type {kind.__name__}"
    raise UserCodeError(f"The condition returned {said}.", where=function.where, fix="Return True or False.")


def tell(hooks: Iterable[Hook], about: Run | Failure, terminal: TextIO) -> None:
    """Call each hook with ``about``. One that raises is told on ``terminal`` and in the log; the next is called."""
    for hook in hooks:
        try:
            called(hook.function, hook.function.resolve(), about)
        except (Exception, SystemExit) as error:
            log.exception("A hook failed")
            text = f"on_{hook.on} failed, which changes nothing: {_words(error)}"
            terminal.write(f"{text}\n")


def _words(error: BaseException) -> Any:
    return f"exit {error.code}" if isinstance(error, SystemExit) else error
