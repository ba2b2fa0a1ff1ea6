"""Progress where a person looks: a live table on a terminal, one in a notebook's cell, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, TextIO, TypeAlias

from fluent_pipe.display import words
from fluent_pipe.execution import Observer, RunState, StepState
from fluent_pipe.live import Board, Live, LiveStep, Looking

Telling: TypeAlias = Literal["everything", "work", "what matters"]
"""How much is told: of every run; of one that has something to run; only what a person must not miss."""


def observer(board: Board, terminal: TextIO, log: Path, telling: Telling = "everything") -> Observer:
    """The observer that suits where a person looks.

    Parameters
    ----------
    board
        Knows how far the run is.
    terminal
        Where to write.
    log
        The run's log, named if the run fails.
    telling
        How much to tell.
    """
    if telling == "what matters":
        return OnlyWords(terminal)
    if telling == "work":
        return FromFirstJob(lambda: _fitting(board, terminal, log), terminal)
    return _fitting(board, terminal, log)


def _fitting(board: Board, terminal: TextIO, log: Path) -> Observer:
    if _is_terminal(terminal):
        from fluent_pipe.display.live_table import LiveTable

        return LiveTable(board, terminal, log)
    if _is_notebook():
        from fluent_pipe.display.in_cell import InCell

        return InCell(board, terminal, log)
    return PlainLines(board, terminal, log)


def _is_terminal(terminal: TextIO) -> bool:
    return terminal.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def _is_notebook() -> bool:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


class OnlyWords(Observer):
    """What a person must not miss."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def said(self, step: str, words: str) -> None:
        self._terminal.write(f"{step}: {words}\n")


class FromFirstJob(OnlyWords):
    """Tells nothing before there is something to run: what is cached has ended before anybody could look.

    Parameters
    ----------
    make
        The observer that tells, from then on.
    """

    def __init__(self, make: Callable[[], Observer], terminal: TextIO) -> None:
        super().__init__(terminal)
        self._make = make
        self._shown: Observer | None = None
        self._steps: Collection[str] = ()

    def started(self, steps: Collection[str]) -> None:
        self._steps = steps

    def job(self, steps: Collection[str]) -> None:
        if self._shown is None:
            self._shown = self._make()
            self._shown.started(self._steps)
        self._shown.job(steps)

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        if self._shown is not None:
            self._shown.changed(step, state, seconds=seconds, note=note)

    def said(self, step: str, words: str) -> None:
        super().said(step, words) if self._shown is None else self._shown.said(step, words)

    def ended(self, state: RunState) -> None:
        if self._shown is not None:
            self._shown.ended(state)


class PlainLines(Looking):
    """A line for every step that ends, and one now and then while it takes long; for files, pipes and CI."""

    FIRST = (10.0, 20.0, 30.0)
    LATER = 60.0
    """Seconds of a job after which it is told: these first, and then again and again."""

    def __init__(self, board: Board, terminal: TextIO, log: Path) -> None:
        super().__init__(board)
        self._terminal = terminal
        self._log = log
        self._width = 0
        self._next: dict[int, float] = {}
        self._last: dict[str, LiveStep] = {}
        self._lock = threading.Lock()

    def started(self, steps: Collection[str]) -> None:
        self._width = max(len(step) for step in steps)

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        if state in words.ENDED:
            self._write(step, state, words.duration(seconds), words.one_line(note))

    def said(self, step: str, words: str) -> None:
        with self._lock:
            self._terminal.write(f"{step}: {words}\n")

    def look(self) -> None:
        """Write a line for each job that has run for long: of the step that can say most, news before all else."""
        self.tell(self.board.now())

    def tell(self, live: Live) -> None:
        """The same of a run as it was at some time."""
        for job in sorted({step.job for step in live.steps if step.job and step.state == "running"}):
            steps = [step for step in live.steps if step.job == job and step.state == "running"]
            seconds = steps[0].seconds or 0.0
            if seconds < self._next.setdefault(job, self.FIRST[0]):
                continue
            later = (seconds // self.LATER + 1) * self.LATER
            self._next[job] = next((at for at in self.FIRST if at > seconds), later)
            step = max(steps, key=lambda step: (self._is_news(step), step.fraction is not None, step.rows))
            self._last[step.step] = step
            self._write(step.step, "running", words.duration(seconds), words.how_far(step))

    def finish(self, state: RunState) -> None:
        self._terminal.write(words.at_the_end(self.board.now(), state, self._log) + "\n")

    def _is_news(self, step: LiveStep) -> bool:
        last = self._last.get(step.step, LiveStep(step.step))
        return (last.rows, last.detail, last.fraction) != (step.rows, step.detail, step.fraction)

    def _write(self, step: str, state: StepState, took: str, told: str) -> None:
        with self._lock:
            self._terminal.write(f"{step:<{self._width}}  {state:<10}  {took:>10}  {told}".rstrip() + "\n")
