"""How long a step will still take."""

from __future__ import annotations

LEAST_SECONDS = 2.0
LEAST_FRACTION = 0.05
"""What must have passed, of time and of work, before a rate says anything about the rest."""
ALL = 0.999
"""Parts that were added up come to no more."""
HALF_LIFE_SECONDS = 3.0
"""After so long an estimate has gone half of the way to a new one, so that it does not jump about."""


class Estimate:
    """When a step will have ended, by its rate since its first sign of progress."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)
        self._end: float | None = None

    def left(self, fraction: float | None, now: float) -> float | None:
        """Seconds left at ``now``, in seconds of any clock; None where that cannot be known.

        Examples
        --------
        >>> estimate = Estimate()
        >>> [estimate.left(done, now) for done, now in [(0.0, 0), (0.1, 10), (0.2, 11), (0.3, 12), (None, 13)]]
        [None, None, None, 7.0, None]
        """
        if not fraction or fraction >= ALL:
            return None
        if self._first is None or fraction < self._last[1]:
            self._first, self._last, self._end = (now, fraction), (now, fraction), None
        seconds, done = now - self._first[0], fraction - self._first[1]
        if seconds < LEAST_SECONDS or done < LEAST_FRACTION:
            return None
        if self._end is None or fraction > self._last[1]:
            end = now + seconds * (1 - fraction) / done
            share = 1 - 0.5 ** ((now - self._last[0]) / HALF_LIFE_SECONDS)
            self._end = end if self._end is None else self._end + share * (end - self._end)
            self._last = (now, fraction)
        left = self._end - now
        return round(left, 1) if left > 0 else None
