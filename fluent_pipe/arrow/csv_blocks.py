"""CSV text in blocks of whole rows, cut where Arrow's own parser ends a row.

A quote counts only where a field begins; a quote elsewhere (``6" pipe``) is a character like others. In well-formed
text every opening quote is at a field's beginning, so that the parity of quotes tells what is inside. Where one is
not, the quotes of that block are looked at one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fluent_pipe.arrow.files import Piece, Readable, count_lines, is_splittable, open_bytes, text_bytes
from fluent_pipe.errors import InputError

LONGEST_ROW = 16 << 20
"""Bytes after which a quote that is still open is taken for one that never closes."""

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dialect:
    """Single ASCII characters; ``escape`` None means that a doubled quote is a quote."""

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None


class Block(NamedTuple):
    """Whole rows, and how many lines of the stream come before them.

    ``unclosed`` is true for one line whose quote opens and never closes.
    """

    data: bytes
    line: int
    unclosed: bool = False


def blocks(stream: Readable, size: int, dialect: Dialect) -> Iterator[Block]:
    """The stream's text in blocks of about ``size`` bytes that end where a row ends.

    Raises
    ------
    InputError
        If there is no line end within :data:`LONGEST_ROW` bytes.
    """
    waiting, line, at_end = b"", 0, False
    while not at_end:
        more = stream.read(max(size, len(waiting)))
        waiting, at_end = waiting + more, not more
        while waiting:
            end, is_open = _last_row_end(waiting, dialect)
            unclosed = False
            if at_end and not is_open:
                end = len(waiting)
            elif end == 0 and not at_end and len(waiting) < LONGEST_ROW:
                break
            elif end == 0:
                end, unclosed = _line_end(waiting, at_end=at_end), is_open
            yield Block(waiting[:end], line, unclosed)
            line += count_lines(waiting[:end])
            waiting = waiting[end:]
            if not unclosed and not at_end:
                break


def byte_ranges(piece: Piece, range_bytes: int, dialect: Dialect, encoding: str) -> list[Piece]:
    """A whole file cut into pieces of about ``range_bytes`` that begin where a row begins.

    Compressed files, encodings with wide characters and dialects with an escape character are left whole. The file is
    read once if it is worth cutting, since only its beginning tells which newlines are inside quotes.
    """
    if dialect.escape or not is_splittable(piece, encoding) or text_bytes(piece) <= range_bytes * 3 // 2:
        return [piece]
    marks = [0]
    with open_bytes(piece) as stream:
        at = 0
        for block in blocks(_Marked(stream), min(4 << 20, range_bytes), dialect):
            at += len(block.data)
            if at - marks[-1] >= range_bytes:
                marks.append(at)
    if marks[-1] < at:
        marks.append(at)
    return [piece._replace(begin=begin, end=end) for begin, end in pairwise(marks)]


def row_ends(data: bytes, dialect: Dialect) -> Positions:
    """Positions just after each row of ``data``, the last one included whether or not a newline ends it."""
    array = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(array == ord("\n"))
    if b"\r" in data:
        returns = np.flatnonzero(array == ord("\r"))
        bare = returns[(returns + 1 == len(array)) | (array[np.minimum(returns + 1, len(array) - 1)] != ord("\n"))]
        newlines = np.union1d(newlines, bare)
    quotes, escaped = _quotes(data, dialect)
    if len(quotes):
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    if escaped:
        newlines = newlines[~np.isin(newlines, list(escaped))]
    ends = newlines + 1
    return ends if len(ends) and ends[-1] == len(data) else np.append(ends, len(data))


def _last_row_end(data: bytes, dialect: Dialect) -> tuple[int, bool]:
    """The position just after the last complete row, 0 if there is none; and whether a quote is open at the end."""
    quotes, escaped = _quotes(data, dialect)
    is_open = len(quotes) % 2 == 1
    limit = len(data)
    while limit > 0:
        newline = data.rfind(b"\n", 0, limit)
        if newline < 0:
            break
        before = int(np.searchsorted(quotes, newline)) if len(quotes) else 0
        if before % 2:
            limit = int(quotes[before - 1])
        elif newline in escaped:
            limit = newline
        else:
            return newline + 1, is_open
    return _last_bare_return(data, dialect), is_open


def _last_bare_return(data: bytes, dialect: Dialect) -> int:
    # The last byte may be the first half of "\r\n" and is left for the next block.
    if data.find(b"\r", 0, len(data) - 1) < 0:
        return 0
    ends = row_ends(data, dialect)
    ends = ends[ends < len(data)]
    return int(ends[-1]) if len(ends) else 0


def _line_end(data: bytes, *, at_end: bool) -> int:
    found = re.search(rb"\r\n|\n|\r", data)
    if found is None and not at_end:
        raise InputError(f"There is no line end within {LONGEST_ROW >> 20} MiB.", fix="Is this file CSV text?")
    return found.end() if found else len(data)


def _quotes(data: bytes, dialect: Dialect) -> tuple[Positions, frozenset[int]]:
    """Positions of the quotes that open and close fields, by turns, and of escaped line ends."""
    if dialect.escape and dialect.escape.encode() in data:
        return _escaped_quotes(data, dialect)
    quote = dialect.quote.encode()
    if quote not in data:
        return np.empty(0, np.int64), frozenset()
    array = np.frombuffer(data, np.uint8)
    found = np.flatnonzero(array == quote[0])
    before = array[found[::2] - 1]
    regular = np.isin(before, np.frombuffer(_field_starts(dialect) + quote, np.uint8))
    regular[0] |= found[0] == 0
    if dialect.escape is None and regular.all():
        return found, frozenset()
    return _effective(data, found.tolist(), dialect), frozenset()


def _effective(data: bytes, found: list[int], dialect: Dialect) -> Positions:
    starts, quote = _field_starts(dialect), ord(dialect.quote)
    effective: list[int] = []
    second = -1
    for position in found:
        if position == second:
            continue
        if len(effective) % 2:
            if dialect.escape is None and data[position + 1 : position + 2] == bytes([quote]):
                second = position + 1
            else:
                effective.append(position)
        elif position == 0 or data[position - 1] in starts:
            effective.append(position)
    return np.array(effective, np.int64)


def _escaped_quotes(data: bytes, dialect: Dialect) -> tuple[Positions, frozenset[int]]:
    starts = _field_starts(dialect)
    effective: list[int] = []
    escaped: set[int] = set()
    after_escape = -1
    for token in _tokens(dialect).finditer(data):
        position = token.start()
        if len(token[0]) > 1:
            escaped.add(token.end() - 1)
            after_escape = token.end()
        elif len(effective) % 2 or position == 0 or (data[position - 1] in starts and position != after_escape):
            effective.append(position)
    return np.array(effective, np.int64), frozenset(p for p in escaped if data[p] in b"\r\n")


@lru_cache
def _tokens(dialect: Dialect) -> re.Pattern[bytes]:
    escape, quote = re.escape((dialect.escape or "").encode()), re.escape(dialect.quote.encode())
    return re.compile(escape + b"." + b"|" + quote, re.DOTALL)


def _field_starts(dialect: Dialect) -> bytes:
    return dialect.delimiter.encode() + b"\r\n"


class _Marked:
    """A stream whose byte order mark is overwritten by a line end, so that a quote after it begins a field."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._started = False

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size if self._started else max(size, 3))
        self._started, first = True, not self._started
        return b"\n\n\n" + data[3:] if first and data.startswith(b"\xef\xbb\xbf") else data
