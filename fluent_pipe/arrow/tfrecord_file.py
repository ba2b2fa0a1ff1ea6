"""TFRecord files, plain or gzipped: records out of them, checked to the last byte, and into them.

TensorFlow's own reader takes a file that was cut within the header of a record, or most gzipped files that were cut
anywhere, for one that ends there, and rows are lost in silence. So the frames are read here. The format is TensorFlow's
(``tensorflow/core/lib/io/record_writer.h``): length (8 bytes), its checksum (4), the record, its checksum (4), all
little-endian, checksums being masked CRC-32C.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

from google_crc32c import value as crc32c

from fluent_pipe.arrow.opening import open_binary
from fluent_pipe.arrow.parquet import ROWS_PER_BATCH
from fluent_pipe.errors import InputError

BLOCK_BYTES = 4 << 20

_HEADER = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_AROUND = _HEADER.size + _CHECKSUM.size
_GZIP = b"\x1f\x8b"
_AGAIN = "Write or download it again, or leave it out."


def read_records(path: str, *, block_bytes: int = BLOCK_BYTES) -> Iterator[list[bytes]]:
    """The records of a file, in order, in lists of those of one block.

    Parameters
    ----------
    path
        A TFRecord file; that it is gzipped is seen from its first bytes.
    block_bytes
        Uncompressed bytes read at once; longer records are read whole.

    Raises
    ------
    InputError
        If it is no TFRecord file, is cut short or is damaged: with the place, and how many records before it are good.
    """
    good, place, rest, wanted = 0, 0, b"", block_bytes
    with ExitStack() as stack:
        stream, where = _open(path, stack)
        while True:
            block, broken = _fill(stream, wanted)
            data = rest + block
            try:
                records, used = _cut(data)
            except _Damaged as damaged:
                good, place = good + damaged.good, place + damaged.place
                fact = f"Record {good + 1:,}, at byte {place:,}{where}, is damaged: its checksum does not match."
                raise InputError(_and_good(fact, good), where=path, fix=_AGAIN) from None
            for begin in range(0, len(records), ROWS_PER_BATCH):
                yield records[begin : begin + ROWS_PER_BATCH]
            good, place, rest = good + len(records), place + used, data[used:]
            if broken is not None:
                fact = f"This gzip file is broken after byte {place:,}{where}, where record {good + 1:,} would begin"
                raise InputError(_and_good(f"{fact} ({broken}).", good), where=path, fix=_AGAIN) from broken
            if not block:
                break
            wanted = max(block_bytes, _missing(rest))
    if rest:
        fact = f"This file is cut short: record {good + 1:,}, which begins at byte {place:,}{where}, is not whole."
        raise InputError(_and_good(fact, good), where=path, fix=_AGAIN)


def frame(records: Sequence[bytes]) -> bytes:
    """Records as the bytes of a TFRecord file.

    Examples
    --------
    >>> frame([b"abc"]).hex()
    '0300000000000000b099490e6162636e57f121'
    """
    parts: list[bytes] = []
    for record in records:
        length = _LENGTH.pack(len(record))
        parts += (length, _checksum(length), record, _checksum(record))
    return b"".join(parts)


class RecordFile:
    """Writes a gzipped TFRecord file, created at the first records; equal records make equal bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: gzip.GzipFile | None = None
        self._stack = ExitStack()

    def write(self, records: Sequence[bytes]) -> None:
        """Add records."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            raw = self._stack.enter_context(self._path.open("wb"))
            # Neither name nor time, which gzip files hold otherwise.
            self._file = self._stack.enter_context(
                gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0)
            )
        self._file.write(frame(records))

    def close(self) -> None:
        """End the file."""
        self._stack.close()
        self._file = None


class _Damaged(Exception):
    def __init__(self, good: int, place: int) -> None:
        super().__init__()
        self.good = good
        self.place = place


def _open(path: str, stack: ExitStack) -> tuple[IO[bytes], str]:
    """The file's uncompressed bytes, and what a message adds to a place in them."""
    raw = stack.enter_context(open_binary(path))
    head = raw.read(_HEADER.size)
    raw.seek(0)
    if len(head) == _HEADER.size and _is_header(head, 0):
        return raw, ""
    if head.startswith(_GZIP):
        first, broken = _fill(_unzipped(raw, stack), _HEADER.size)
        if broken is not None or not first or (len(first) == _HEADER.size and _is_header(first, 0)):
            raw.seek(0)
            return _unzipped(raw, stack), " of the uncompressed data"
    raise InputError(
        "This is not a TFRecord file.", where=path, fix="from_csv() reads CSV, from_parquet() reads Parquet."
    )


def _unzipped(raw: IO[bytes], stack: ExitStack) -> IO[bytes]:
    return cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=raw)))


def _fill(stream: IO[bytes], size: int) -> tuple[bytes, Exception | None]:
    """``size`` bytes, fewer at the end; and why no more can be read, if that is so."""
    parts: list[bytes] = []
    read = stream.read1 if isinstance(stream, gzip.GzipFile) else stream.read
    while size > 0:
        try:
            part = read(min(size, BLOCK_BYTES))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            return b"".join(parts), error
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts), None


def _cut(data: bytes) -> tuple[list[bytes], int]:
    """The whole records in ``data``, and the bytes that they take."""
    records: list[bytes] = []
    begin, end = 0, len(data)
    while begin + _HEADER.size <= end:
        if not _is_header(data, begin):
            raise _Damaged(len(records), begin)
        (length,) = _LENGTH.unpack_from(data, begin)
        after = begin + length + _AROUND
        if after > end:
            break
        record = data[begin + _HEADER.size : after - _CHECKSUM.size]
        if data[after - _CHECKSUM.size : after] != _checksum(record):
            raise _Damaged(len(records), begin)
        records.append(record)
        begin = after
    return records, begin


def _missing(rest: bytes) -> int:
    """Bytes that the record which ``rest`` begins with still lacks, where its length is known."""
    if len(rest) < _HEADER.size:
        return 0
    (length,) = _LENGTH.unpack_from(rest)
    return int(length) + _AROUND - len(rest)


def _is_header(data: bytes, begin: int) -> bool:
    return data[begin + _LENGTH.size : begin + _HEADER.size] == _checksum(data[begin : begin + _LENGTH.size])


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return _CHECKSUM.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _and_good(fact: str, good: int) -> str:
    if not good:
        return fact
    return f"{fact} The {good:,} records before it are good." if good > 1 else f"{fact} The record before it is good."
