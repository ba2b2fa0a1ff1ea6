"""How far a run is, for whoever shows it, in this process and in others.

A :class:`Board` is told what happens and knows how far each step is. A terminal asks it, and so does a :class:`Writer`,
which leaves what it says in ``progress.json`` beside the run's log, for as long as the run is under way: that is how
the page over runs, in a process of its own, sees it.
"""

from __future__ import annotations

from fluent_pipe.live.board import Board
from fluent_pipe.live.estimate import ALL, Estimate
from fluent_pipe.live.looking import Looking, Writer
from fluent_pipe.live.observers import Observers
from fluent_pipe.live.seen import OLD_SECONDS, PROGRESS_FILE, Live, LiveStep, read

__all__ = [
    "ALL",
    "OLD_SECONDS",
    "PROGRESS_FILE",
    "Board",
    "Estimate",
    "Live",
    "LiveStep",
    "Looking",
    "Observers",
    "Writer",
    "read",
]
