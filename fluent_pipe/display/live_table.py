"""Progress on a terminal: a table that is drawn anew several times a second."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live as LiveDisplay
from rich.table import Table
from rich.text import Text

from fluent_pipe.display import words
from fluent_pipe.execution import Observer, RunState, StepState
from fluent_pipe.live import Board, Live, LiveStep

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
ROOM_FOR_BARS = 44
"""Of fewer characters for what steps say, none is given to bars."""
GAP = 2
LEAST_LINES = 3


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    cell
        Of a step.
    room
        Characters that it must leave for what steps say; a terminal where it cannot does without it.
    least, most
        Its own characters; so many at least where columns would come and go as a number grows.
    """

    heading: str
    cell: Callable[[LiveStep], str]
    room: int = 0
    side: Literal["left", "right"] = "left"
    coloured: bool = False
    least: int = 0
    most: int = 30


COLUMNS = (
    Column("", lambda step: words.MARKS[step.state], coloured=True),
    Column("step", lambda step: words.one_line(step.step)),
    Column("state", lambda step: step.state, 40, coloured=True),
    Column("job", lambda step: "" if step.job is None else str(step.job), 50, "right"),
    Column("rows", words.rows, 46, "right"),
    Column("time", lambda step: words.duration(step.seconds), 0, "right", least=10),
)
ROWS_ALONE = Column("rows", lambda step: words.rows(step, whole=False), 34, "right")
"""In place of the other one where that has no room."""


class LiveTable(Observer):
    """The table on a terminal, and above it what must not be missed."""

    def __init__(self, board: Board, terminal: TextIO, log: Path) -> None:
        self._board = board
        self._log = log
        self._ended = False
        self._console = Console(file=terminal)
        self._live = LiveDisplay(
            console=self._console,
            get_renderable=lambda: Steps(board.now(), whole=self._ended),
            refresh_per_second=8,
            redirect_stdout=sys.stdout.isatty(),  # what the user's functions print comes above the table
            redirect_stderr=False,  # what libraries write there goes to the log
        )

    def started(self, steps: Collection[str]) -> None:
        self._live.start()

    def said(self, step: str, words: str) -> None:
        self._console.print(f"{step}: {words}", highlight=False, markup=False, soft_wrap=True)

    def ended(self, state: RunState) -> None:
        self._ended = True
        self._live.stop()
        line = words.at_the_end(self._board.now(), state, self._log)
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Steps:
    """The steps of a run, as many as fit.

    Parameters
    ----------
    whole
        Draw all of them and no line about the whole, as it stays when the run has ended.
    """

    live: Live
    whole: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.whole:
            yield _table(self.live.steps, self.live.steps, options.max_width, whole=True)
            return
        under = [
            Text(line, "dim", overflow="ellipsis", no_wrap=True) for line in words.under_way(self.live).split("\n")
        ]
        lines = options.size.height - len(under) - 2  # of the heading, and where the cursor stands
        shown = in_view(self.live.steps, lines)
        if len(shown) < len(self.live.steps):
            others = Counter(step.state for step in self.live.steps if step not in shown)
            under.insert(0, Text("and " + ", ".join(f"{n} {state}" for state, n in others.items()), "dim"))
        yield Group(_table(shown, self.live.steps, options.max_width), *under)


def in_view(steps: tuple[LiveStep, ...], lines: int) -> tuple[LiveStep, ...]:
    """The steps to draw where there are lines for so many: those at work and what is next to them, in order."""
    if len(steps) <= lines:
        return steps
    lines = max(lines - 1, LEAST_LINES)  # one tells of the others
    at_work = [i for i, step in enumerate(steps) if step.state in ("running", "failed")]
    ended = [i for i, step in enumerate(steps) if step.state in words.ENDED]
    middle = at_work or ended[-1:] or [0]
    near = sorted(range(len(steps)), key=lambda i: (i not in at_work, min(abs(i - m) for m in middle), i))
    return tuple(steps[i] for i in sorted(near[:lines]))


def _table(shown: tuple[LiveStep, ...], steps: tuple[LiveStep, ...], width: int, *, whole: bool = False) -> Table:
    """Some steps, in columns as wide as all of them need; what they say is cut short, or is there as a whole."""
    columns = _columns(steps, width)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_column(column.heading, justify=column.side, no_wrap=True, width=_width(column, steps))
    room = _room(columns, steps, width)
    # Its width is given, or rich takes from all columns what one text has too much.
    table.add_column("", no_wrap=not whole, overflow="ellipsis", width=max(room, 1))
    for step in shown:
        cells = [Text(c.cell(step), COLOURS[step.state] if c.coloured else "") for c in columns]
        table.add_row(*cells, _said(step, bars=room >= ROOM_FOR_BARS))
    return table


def _columns(steps: tuple[LiveStep, ...], width: int) -> list[Column]:
    """Those that leave room for words; those that say nothing are left out."""
    columns = [c for c in COLUMNS if any(c.cell(step) for step in steps)]
    while any(c.room > max(_room(columns, steps, width), 0) for c in columns):
        place = columns.index(max(columns, key=lambda c: c.room))
        columns[place : place + 1] = [ROWS_ALONE] if columns[place].cell is words.rows else []
    return columns


def _room(columns: list[Column], steps: tuple[LiveStep, ...], width: int) -> int:
    """Characters of a line that they leave."""
    return width - sum(_width(c, steps) + GAP for c in columns)


def _width(column: Column, steps: tuple[LiveStep, ...]) -> int:
    longest = max([len(column.heading), *(cell_len(column.cell(step)) for step in steps)])
    return min(max(longest, column.least), column.most)


def _said(step: LiveStep, *, bars: bool) -> Text:
    done, rest = words.bar(step) if bars else ("", "")
    until = words.left(step.left) if step.left is not None else ""
    figures = " · ".join(filter(None, [words.share(step), until]))
    said = words.told(step)
    bar = Text.assemble((done, "cyan"), (rest, "dim"), " " if done or rest else "")
    return Text.assemble(bar, figures, " · " if figures and said else "", (said, "dim"))
