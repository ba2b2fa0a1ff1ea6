"""Progress in a notebook's cell: one table, replaced by the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO

from fluent_pipe.display import words
from fluent_pipe.display.charts import as_image
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import text_table
from fluent_pipe.execution import RunState
from fluent_pipe.live import Board, Live, LiveStep, Looking


class InCell(Looking):
    """The table below the cell that runs: drawn anew about once a second, and left as it is when the run has ended."""

    def __init__(self, board: Board, terminal: TextIO, log: Path) -> None:
        super().__init__(board)
        self._terminal = terminal
        self._log = log
        self._shown: Any = None

    def said(self, step: str, words: str) -> None:
        self._terminal.write(f"{step}: {words}\n")

    def look(self) -> None:
        """Draw how far it is."""
        live = self.board.now()
        self._draw(drawn(live, words.under_way(live)))

    def finish(self, state: RunState) -> None:
        """Draw how it ended."""
        live = self.board.now()
        self._draw(drawn(live, words.at_the_end(live, state, self._log)))

    def _draw(self, bundle: dict[str, str]) -> None:
        from IPython.display import display

        if self._shown is None:
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)


def drawn(live: Live, line: str) -> dict[str, str]:
    """The steps of a run and a line under them, as HTML and as text, by MIME type."""
    rows = [_row(step) for step in live.steps]
    columns = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    html = joined(html_table(rows, as_image, columns), tag("div", line))
    return {"text/plain": f"{text_table(rows, columns)}\n{line}", "text/html": str(html)}


def _row(step: LiveStep) -> dict[str, str | int | None]:
    done, rest = words.bar(step)
    until = words.left(step.left) if step.left is not None else ""
    return {
        "": words.MARKS[step.state],
        "step": words.one_line(step.step),
        "state": step.state,
        "job": step.job,
        "rows": words.rows(step),
        "time": words.duration(step.seconds),
        "done": " ".join(filter(None, [done + rest, words.share(step), until])),
        "about": words.told(step),
    }
