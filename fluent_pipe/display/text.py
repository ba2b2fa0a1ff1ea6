"""Tables and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def text_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as aligned text; numbers to the right, with four significant digits."""
    if not rows:
        return "(nothing)"
    names = list(columns or rows[0])
    cells = [[in_words(row.get(n)) for n in names] for row in rows]
    right = [all(is_number(row.get(n)) or row.get(n) is None for row in rows) for n in names]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    lines = [names, *cells]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def share_in_words(share: float) -> str:
    """A share in percent, so that neither a few nor almost all read as none or all.

    Examples
    --------
    >>> [share_in_words(s) for s in (0, 0.00004, 0.0123, 0.34567, 0.99996, 1)]
    ['0%', '<0.1%', '1.2%', '34.6%', '>99.9%', '100%']
    """
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share * 100:.1f}".removesuffix(".0") + "%"


def counted(count: int, thing: str) -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "column"), counted(2400, "column"), counted(2, "anomaly"), counted(3, "class")
    ('1 column', '2,400 columns', '2 anomalies', '3 classes')
    """
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}{'es' if thing.endswith('s') else 's'}"
    return f"{count:,} {thing if count == 1 else several}"


def one_line(text: str, width: int) -> str:
    """A name for a terminal: in one line, cut with an ellipsis, without what would move the cursor or turn the writing.

    Examples
    --------
    >>> one_line("two" + chr(10) + "lines" + chr(0x202E) + " and more", 12)
    'two␊lines� …'
    """
    shown = "".join(_plain(c) for c in text[: width + 1])
    return shown if len(text) <= width else shown[: width - 1] + "…"


def _plain(character: str) -> str:
    if character.isprintable():
        return character
    return chr(0x2400 + ord(character)) if ord(character) < 32 else "\N{REPLACEMENT CHARACTER}"


def is_number(value: Any) -> bool:
    """Whether a cell is set to the right."""
    return isinstance(value, int | float)


def in_words(value: Any) -> str:
    """A value as a cell of a table: nothing for None, four significant digits of a float.

    Examples
    --------
    >>> in_words(1234.5678), in_words(1234567), in_words(65366.0), in_words(None), in_words("JFK")
    ('1,235', '1,234,567', '65,366', '', 'JFK')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e3 or not math.isfinite(value) else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


BLOCKS = " ▏▎▍▌▋▊▉█"
SPARKS = "▁▂▃▄▅▆▇█"


def block_bar(share: float, width: int) -> str:
    """A bar of block characters, ``share`` of ``width`` long.

    Examples
    --------
    >>> block_bar(0.5, 5), block_bar(2, 3)
    ('██▌', '███')
    """
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + BLOCKS[eighths % 8]).rstrip()


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """A line of block characters through values; where there are more than ``width``, some of them.

    What is not finite is a gap.

    Examples
    --------
    >>> sparkline([1, 2, 3, None, 8])
    '▁▂▃ █'
    """
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    finite = [v for v in values if v is not None and math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    line = ""
    for value in values:
        if value is None or not math.isfinite(value):
            line += " "
        else:
            line += SPARKS[round((value - low) / (high - low) * 7)] if high > low else SPARKS[3]
    return line
