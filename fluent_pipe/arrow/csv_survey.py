"""What is decided about CSV files before they are read: columns, types, and the pieces that workers share."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from fluent_pipe.arrow.csv import CsvFormat, CsvReader
from fluent_pipe.arrow.csv_blocks import byte_ranges
from fluent_pipe.arrow.files import Piece
from fluent_pipe.arrow.types import GIVEN, Types
from fluent_pipe.errors import InputError

HEAD_BYTES = 1 << 20
HEADS = 3
"""Types are guessed by the first ``HEAD_BYTES`` of the first ``HEADS`` files that have rows."""


def guess(form: CsvFormat, files: Sequence[Piece], given: Mapping[str, str]) -> CsvReader:
    """A reader with the types that the files' beginnings suggest.

    Parameters
    ----------
    form
        How the text is read.
    files
        All files, whole.
    given
        Type names by column, over what is inferred.

    Raises
    ------
    InputError
        If columns have no or equal names, files have different columns, no file has a row, or ``given`` names a
        column that does not exist.
    """
    try:
        codecs.lookup(form.encoding)
    except LookupError as error:
        fix = "Give one that Python knows, such as 'latin-1'."
        raise InputError(f"Encoding {form.encoding!r} is not known.", fix=fix) from error
    columns = _columns(form, files)
    unknown = next((name for name in given if name not in columns), None)
    if unknown is not None:
        raise InputError(f"types= names column {unknown!r}, which the files do not have.", got=unknown, valid=columns)
    types: Types = {name: pa.null() for name in columns if name not in given}
    heads = 0
    for piece in files:
        head = next(form.blocks(piece, HEAD_BYTES), None)
        if head is not None:
            names, block = head
            types = types if block.unclosed else form.infer(block.data, names, types)
            heads += 1
        if heads == HEADS:
            break
    if heads == 0:
        raise InputError("There is a header and no row.", where=_several(files), fix="Write rows into it.")
    return _reader(form, columns, types, given)


def scan(reader: CsvReader, pieces: Sequence[Piece]) -> CsvReader:
    """A reader with the types that all of the data needs: each block's types joined, memory bounded by one block."""
    types = {name: pa.null() for name in reader.types if name not in reader.given}
    for piece in pieces:
        for names, block in reader.format.blocks(piece):
            if not block.unclosed:
                types = reader.format.infer(block.data, names, types)
    return CsvReader(reader.format, {n: types.get(n, kind) for n, kind in reader.types.items()}, reader.given)


def share(form: CsvFormat, files: Sequence[Piece], range_bytes: int) -> list[Piece]:
    """The files, large plain ones cut into byte ranges."""
    return [piece for file in files for piece in byte_ranges(file, range_bytes, form.dialect, form.encoding)]


def check_names(names: Sequence[str], where: str) -> None:
    """Raise ``InputError`` where a column has no name or the name of another."""
    for place, name in enumerate(names, 1):
        if not name.strip():
            raise InputError(
                f"Column {place} of {len(names)} has no name.",
                where=where,
                fix="Name it in the file (pandas leaves its index out with to_csv(index=False)).",
            )
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"Column {name!r} is there {count} times.", where=where, fix="Rename one of them.")


def check_same(first: Sequence[str], first_name: str, other: Sequence[str], other_name: str) -> None:
    """Raise ``InputError`` where two files have different columns."""
    missing = [repr(name) for name in first if name not in other]
    more = [repr(name) for name in other if name not in first]
    if missing or more:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has also {', '.join(more)}"] if more else []
        raise InputError(
            f"This file {' and '.join(parts)}, compared with {first_name}.",
            where=other_name,
            fix="Files that are read together need the same columns.",
        )


def _columns(form: CsvFormat, files: Sequence[Piece]) -> tuple[str, ...]:
    if form.column_names is not None:
        check_names(form.column_names, "column_names")
        return form.column_names
    columns: tuple[str, ...] = ()
    for piece in files:
        names = form.names(piece)
        check_names(names, piece.name)
        columns = columns or names
        check_same(columns, files[0].name, names, piece.name)
    return columns


def _reader(form: CsvFormat, columns: Sequence[str], types: Types, given: Mapping[str, str]) -> CsvReader:
    return CsvReader(form, {n: GIVEN[given[n]] if n in given else types[n] for n in columns}, frozenset(given))


def _several(files: Sequence[Piece]) -> str:
    return files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
