"""Progress on the terminal: a live table where there is one, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from fluent_pipe import progress
from fluent_pipe.execution import Observer, RunState, StepState

if TYPE_CHECKING:
    from rich.table import Table

MARKS: dict[StepState, str] = {
    "waiting": "·",
    "running": "▸",
    "ran": "✓",
    "cached": "=",
    "failed": "✗",
    "not pushed": "!",
    "not scored": "!",
    "skipped": "-",
}
COLOURS: dict[StepState, str] = {
    "waiting": "dim",
    "running": "cyan",
    "ran": "green",
    "cached": "blue",
    "failed": "red",
    "not pushed": "yellow",
    "not scored": "yellow",
    "skipped": "dim",
}


def observer(terminal: TextIO, log: Path, *, quiet: bool = False) -> Observer:
    """The observer that suits the terminal.

    Parameters
    ----------
    terminal
        Where to write.
    log
        The run's log, named if the run fails.
    quiet
        Show no progress, only what a person must not miss.
    """
    if quiet:
        return OnlyWords(terminal, log)
    return LiveTable(terminal, log) if terminal.isatty() else PlainLines(terminal, log)


@dataclass
class _Row:
    state: StepState = "waiting"
    seconds: float | None = None
    note: str = ""
    begun: float = 0.0


class _Watching(Observer):
    def __init__(self, terminal: TextIO, log: Path) -> None:
        self._terminal = terminal
        self._log = log
        self._rows: dict[str, _Row] = {}
        self._begun = time.monotonic()

    def started(self, steps: Collection[str]) -> None:
        self._rows = {step: _Row() for step in steps}

    def job(self, steps: Collection[str]) -> None:
        for step in steps:
            self.changed(step, "running")

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        begun = time.monotonic() if state == "running" else self._rows[step].begun
        self._rows[step] = _Row(state, seconds, note, begun)

    def _closing(self, state: RunState) -> str:
        cached = sum(r.state == "cached" for r in self._rows.values())
        skipped = sum(r.state == "skipped" for r in self._rows.values())
        end = f"{state} in {time.monotonic() - self._begun:.1f} s, {cached} of {len(self._rows)} steps from the cache"
        end += f", {skipped} skipped" if skipped else ""
        return end if state not in ("failed", "interrupted") else f"{end}; log: {self._log}"


class OnlyWords(_Watching):
    """What a person must not miss."""

    def said(self, step: str, words: str) -> None:
        self._terminal.write(f"{step}: {words}\n")


class PlainLines(OnlyWords):
    """One line for every step that ends; for files, pipes and CI."""

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        super().changed(step, state, seconds=seconds, note=note)
        if state in ("waiting", "running"):
            return
        took = "" if seconds is None else f"{seconds:.1f} s"
        width = max(len(s) for s in self._rows)
        self._terminal.write(f"{step:<{width}}  {state:<10}  {took:>8}  {note}".rstrip() + "\n")

    def ended(self, state: RunState) -> None:
        self._terminal.write(self._closing(state) + "\n")


class LiveTable(_Watching):
    """A table that is drawn anew several times a second."""

    def __init__(self, terminal: TextIO, log: Path) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(terminal, log)
        self._console = Console(file=terminal)
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=8)
        self._lock = threading.Lock()

    def started(self, steps: Collection[str]) -> None:
        super().started(steps)
        self._live.start()

    def said(self, step: str, words: str) -> None:
        self._console.print(f"{step}: {words}", highlight=False, soft_wrap=True)

    def ended(self, state: RunState) -> None:
        self._live.stop()
        self._console.print(self._closing(state), highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for heading, side in (
            ("", "left"),
            ("step", "left"),
            ("state", "left"),
            ("rows", "right"),
            ("seconds", "right"),
            ("", "left"),
        ):
            table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
        told = progress.snapshot()
        for step, row in self._rows.items():
            at = told.get(step, progress.Progress())
            seconds = time.monotonic() - row.begun if row.state == "running" else row.seconds
            table.add_row(
                Text(MARKS[row.state], style=COLOURS[row.state]),
                step,
                Text(row.state, style=COLOURS[row.state]),
                f"{at.rows:,}" if at.rows else "",
                "" if seconds is None else f"{seconds:.1f}",
                Text(row.note or at.detail, style="dim", overflow="ellipsis"),
            )
        if progress.is_stopping():
            table.caption = "Stopping. Ctrl-C again stops at once, whatever is at work."
        return table
