"""The files behind a source: found by pattern, opened as streams, and cut into pieces that workers share."""

from __future__ import annotations

import codecs
import glob
import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from fluent_pipe.arrow.opening import open_binary, size_of
from fluent_pipe.errors import InputError
from fluent_pipe.remote import is_remote
from fluent_pipe.steps.paths import matches

UNDECODABLE = b"\xff"
"""Stands in UTF-8 text for bytes that the file's own encoding does not know; never valid UTF-8 itself."""

_BYTE_ORDER_MARK = codecs.BOM_UTF8
_BYTE_PER_CHARACTER = ("utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252")


class Piece(NamedTuple):
    """A part of the input that one worker reads; all that travels through Beam.

    ``member`` is a name inside a zip, else ``""``. ``begin`` and ``end`` are bytes of a plain file or row groups of a
    Parquet file; ``end`` -1 is the end. ``split`` is ``""`` where rows are split by hash.
    """

    file: str
    member: str = ""
    begin: int = 0
    end: int = -1
    split: str = ""

    @property
    def name(self) -> str:
        """The file as messages name it."""
        return f"{self.file}/{self.member}" if self.member else self.file


class Rejected(NamedTuple):
    """A row that could not be used: 1-based line of its first byte, or number of its record; reason; text.

    The line is 0 where it is not known, of a row that was read well and then could not be scored.
    """

    file: str
    line: int
    reason: str
    text: str


class Readable(Protocol):
    """What blocks are read from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""


def list_pieces(patterns: Sequence[tuple[str, Sequence[str]]]) -> list[Piece]:
    """One piece a file (one a member of a zip), in order of split and name.

    Parameters
    ----------
    patterns
        ``((split or "", (glob, path or folder, ...)), ...)``.

    Raises
    ------
    InputError
        If a pattern matches nothing, a file is empty, or a file belongs to two splits.
    """
    split_of: dict[str, str] = {}
    for split, globs in patterns:
        for file in sorted({f for pattern in globs for f in _matches(pattern)}):
            if split_of.setdefault(file, split) != split:
                raise InputError(
                    f"This file matches the patterns of split {split_of[file]!r} and of split {split!r}.",
                    where=file,
                    fix="Give each split files of its own.",
                )
    # A worker elsewhere may have begun in another folder.
    places = {file: file if is_remote(file) else str(Path(file).absolute()) for file in split_of}
    return [piece for file, split in split_of.items() for piece in _members(places[file], split)]


def _matches(pattern: str) -> list[str]:
    found = matches(pattern)
    if found:
        return found
    if is_remote(pattern):
        raise InputError(f"No file matches {pattern!r}.", fix="Check the bucket's name and the path in it.")
    path = Path(pattern).expanduser()
    folder = path if path.is_dir() else next((p for p in path.parents if not glob.has_magic(str(p))), Path())
    if not folder.is_dir():
        raise InputError(f"No file matches {pattern!r}: the folder {str(folder)!r} does not exist.")
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if not names:
        raise InputError(f"No file matches {pattern!r}: the folder {str(folder)!r} is empty.")
    raise InputError(f"No file matches {pattern!r}.", got=path.name, valid=names, fix=f"(Names in {str(folder)!r}.)")


def _members(file: str, split: str) -> Iterator[Piece]:
    if size_of(file) == 0:
        raise InputError("This file is empty.", where=file, fix="Leave it out, or write its rows.")
    if Path(file).suffix.lower() != ".zip":
        yield Piece(file, split=split)
        return
    with _explained(file), open_binary(file) as stream, zipfile.ZipFile(stream) as archive:
        members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
    if not members:
        raise InputError("This zip holds no files.", where=file)
    for member in members:
        piece = Piece(file, member.filename, split=split)
        if member.file_size == 0:
            raise InputError("This file is empty.", where=piece.name, fix="Leave it out, or write its rows.")
        yield piece


def is_splittable(piece: Piece, encoding: str) -> bool:
    """Whether a file can be read from a byte in its middle: plain, and with newlines that are one byte."""
    plain = not piece.member and Path(piece.file).suffix.lower() != ".gz"
    return plain and codecs.lookup(encoding).name in _BYTE_PER_CHARACTER


def text_bytes(piece: Piece) -> int:
    """An upper bound of the uncompressed bytes of a whole file or member."""
    if piece.member:
        with _explained(piece.name), open_binary(piece.file) as stream, zipfile.ZipFile(stream) as archive:
            return archive.getinfo(piece.member).file_size
    size = size_of(piece.file)
    # Deflate cannot do better than 1032 to 1.
    return size * 1032 if Path(piece.file).suffix.lower() == ".gz" else size


@contextmanager
def open_bytes(piece: Piece) -> Iterator[Readable]:
    """The uncompressed bytes of a piece.

    Raises
    ------
    InputError
        If a compressed file is broken or locked by a password.
    """
    with ExitStack() as stack, _explained(piece.name):
        file = stack.enter_context(open_binary(piece.file))
        if piece.member:
            archive = stack.enter_context(zipfile.ZipFile(file))
            yield stack.enter_context(archive.open(piece.member))
        elif Path(piece.file).suffix.lower() == ".gz":
            yield stack.enter_context(gzip.open(file))
        else:
            file.seek(piece.begin)
            yield file if piece.end < 0 else _Limited(file, piece.end - piece.begin)


@contextmanager
def open_text(piece: Piece, encoding: str) -> Iterator[Readable]:
    """The text of a piece in UTF-8, without a byte order mark; what cannot be decoded is :data:`UNDECODABLE`."""
    with open_bytes(piece) as stream:
        utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")
        text = stream if utf8 else _Transcoded(stream, encoding)
        yield _Unmarked(text) if piece.begin == 0 else text


def count_lines(text: bytes) -> int:
    """Line ends in ``text``, of any of the three kinds."""
    lines = text.count(b"\n")
    if b"\r" in text:
        lines += text.count(b"\r") - text.count(b"\r\n")
    return lines


def lines_before(piece: Piece) -> int:
    """Physical lines of a plain file before the piece begins."""
    lines = 0
    with open_bytes(piece._replace(begin=0, end=piece.begin)) as stream:
        while block := stream.read(1 << 20):
            # A pair that the block's end would tear apart is counted whole.
            block += stream.read(1) if block.endswith(b"\r") else b""
            lines += count_lines(block)
    return lines


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        fact = f"This compressed file is broken ({error})."
        raise InputError(fact, where=name, fix="Write or download it again.") from error
    except (RuntimeError, NotImplementedError) as error:
        if "encrypted" not in str(error) and "compression" not in str(error):
            raise
        raise InputError(f"This zip cannot be opened ({error}).", where=name, fix="Unpack it first.") from error


class _Limited:
    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data


class _Unmarked:
    """A stream less its byte order mark."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._started = False

    def read(self, size: int, /) -> bytes:
        if self._started:
            return self._stream.read(size)
        self._started = True
        data = self._stream.read(max(size, len(_BYTE_ORDER_MARK)))
        return data.removeprefix(_BYTE_ORDER_MARK) or self._stream.read(size)


class _Transcoded:
    """A stream of another encoding as UTF-8."""

    def __init__(self, stream: Readable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(errors=_ERRORS)

    def read(self, size: int, /) -> bytes:
        while data := self._stream.read(size):
            if text := self._decoder.decode(data):
                return text.encode(errors=_ERRORS)
        return self._decoder.decode(b"", final=True).encode(errors=_ERRORS)


def _mark_undecodable(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    if isinstance(error, UnicodeEncodeError):
        return UNDECODABLE * (error.end - error.start), error.end
    raise error


_ERRORS = "fluent_pipe.undecodable"
codecs.register_error(_ERRORS, _mark_undecodable)
