"""Measured numbers in words, with the interval that they lie in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fluent_pipe.display.text import in_words


def figure(value: object, interval: Sequence[float] | None = None) -> str:
    """A number with its confidence interval, if it has one; a dash where it could not be computed.

    Examples
    --------
    >>> figure(0.81234), figure(0.81234, [0.8023, 0.8223]), figure(0.98, [0.9, 0.99]), figure(None)
    ('0.8123', '0.812 ±0.01', '0.98 [0.9, 0.99]', '–')
    """
    if value is None:
        return "–"
    if not isinstance(value, float | int) or isinstance(value, bool) or interval is None or None in interval:
        return in_words(value)
    low, high = interval
    half = (high - low) / 2
    if not all(map(math.isfinite, (value, low, high))):
        return in_words(value)
    if half <= 0:
        return f"{in_words(value)} ±0"
    if abs((high + low) / 2 - value) > half / 4:
        return f"{in_words(value)} [{low:,.3g}, {high:,.3g}]"
    places = min(max(1 - math.floor(math.log10(half)), 0), 12)  # two digits of what is uncertain
    return f"{value:,.{places}f}".rstrip("0").rstrip(".") + f" ±{half:,.2g}" if places else f"{value:,.0f} ±{half:,.0f}"


def figures(column: Sequence[tuple[float | None, Sequence[float] | None]]) -> list[str]:
    """Values and intervals below one another: as many places for all that have no interval.

    Examples
    --------
    >>> figures([(0.597, None), (0.57654, None), (None, None)])
    ['0.5970', '0.5765', '–']
    """
    plain = [v for v, interval in column if v is not None and interval is None]
    most = max((abs(v) for v in plain), default=0.0)
    if not 1e-3 < most < 1e3 or all(v == int(v) for v in plain if math.isfinite(v)):
        return [figure(v, interval) for v, interval in column]
    places = 4 if most < 1 else 3 - math.floor(math.log10(most))
    return [figure(v, i) if v is None or i is not None else f"{v:.{places}f}" for v, i in column]
