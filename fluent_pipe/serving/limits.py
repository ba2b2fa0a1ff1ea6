"""What one server takes on. Loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one server takes on.

    Parameters
    ----------
    request_bytes
        Largest body.
    seconds
        Longest time from a request's head to its answer.
    batch_rows
        Most rows that requests are put together to; 1 for none.
    waiting
        Requests that may wait.
    threads
        Batches that run at once.
    """

    request_bytes: int = 32 * 1024 * 1024
    seconds: float = 30.0
    batch_rows: int = 1024
    waiting: int = 1024
    threads: int = 2
