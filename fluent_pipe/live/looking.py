"""Observers that look at a board now and then, and one that leaves what it says in a file."""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from fluent_pipe.execution import Observer, RunState, StepState
from fluent_pipe.live.board import Board
from fluent_pipe.live.seen import OLD_SECONDS, PROGRESS_FILE

LOOK_SECONDS = 1.0
"""How often a board is looked at."""


class Looking(Observer):
    """Looks at a board now and then, on a thread of its own, from the first job of a run to the run's end.

    A run whose steps are all cached has ended before anybody could look, and no thread is started for it.

    Parameters
    ----------
    board
        Told before this observer is.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self._news = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Look, once a second and when a job begins; not any more when :meth:`finish` is called."""

    def finish(self, state: RunState) -> None:
        """The run has ended."""

    def job(self, steps: Collection[str]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_looking, name="progress", daemon=True)
            self._thread.start()
        self._news.set()

    def ended(self, state: RunState) -> None:
        self._over.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(OLD_SECONDS)  # for ever, if a disk does not answer
        self.finish(state)

    def _keep_looking(self) -> None:
        while not self._over.is_set():
            self._news.clear()
            self.look()
            self._over.wait(0.1)  # steps of a job change together
            self._news.wait(LOOK_SECONDS)


class Writer(Looking):
    """Leaves what a board says in the folder of a run, until the run ends."""

    def __init__(self, board: Board, folder: Path) -> None:
        super().__init__(board)
        self._file = folder / PROGRESS_FILE

    def look(self) -> None:
        """Write it, by one rename; at a change of a step too."""
        with suppress(OSError):  # on a full disk the run has other worries
            unfinished = self._file.with_suffix(".unfinished")
            unfinished.write_text(self.board.now().to_json(), encoding="utf-8")
            unfinished.replace(self._file)

    def changed(self, step: str, state: StepState, *, seconds: float | None = None, note: str = "") -> None:
        self._news.set()

    def finish(self, state: RunState) -> None:
        """Take it away: what has ended is told by the store."""
        if self._thread is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
