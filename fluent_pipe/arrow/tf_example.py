"""``tf.Example`` to and from flat columns, in whole batches, by the coders of tfx-bsl."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.errors import InputError

NAMES: Mapping[pa.DataType, str] = {
    pa.int64(): "int64",
    pa.float32(): "float",
    pa.large_binary(): "bytes",
    pa.binary(): "bytes",
    pa.string(): "bytes",
}
"""What ``tf.Example`` calls the values of a type."""

_NO_EXAMPLE = "not a tf.Example"
_STEPS = "##SEQUENCE##"


class Decoded(NamedTuple):
    """Records as a batch of ``large_list`` columns in the order of their names.

    ``places`` has the place of each row among the records, where some of them are no examples; ``bad`` has those.
    """

    batch: pa.RecordBatch
    places: list[int] | None
    bad: Sequence[tuple[int, str]]

    def place(self, row: int) -> int:
        """The place of a row among the records."""
        return row if self.places is None else self.places[row]


class Conflict(InputError):
    """A feature has two types."""


def decode(records: list[bytes]) -> Decoded:
    """Decode serialized ``tf.Example``.

    A record that is none is told apart. Protocol buffers have no mark of their kind: what decodes to an example without
    any feature is one only if it says no more than that.

    Raises
    ------
    Conflict
        If a feature has values of two types: with the place of the second as ``got``.
    """
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    decoder = ExamplesToRecordBatchDecoder()
    places: list[int] | None = None
    bad: list[tuple[int, str]] = []
    try:
        batch = decoder.DecodeBatch(records)
    except RuntimeError:
        places, bad = _one_by_one(decoder.DecodeBatch, records)
        batch = decoder.DecodeBatch([records[place] for place in places])
    strange = [row for row in _empty_rows(batch) if _says_more(records[row if places is None else places[row]])]
    if strange:
        kept = np.delete(np.arange(batch.num_rows), strange)
        places = list(range(len(records))) if places is None else places
        bad = sorted([*bad, *((places[row], _NO_EXAMPLE) for row in strange)])
        places = [places[row] for row in kept]
        batch = decoder.DecodeBatch([records[place] for place in places])
    return Decoded(batch, places, bad)


def _one_by_one(
    decode_batch: Callable[[list[bytes]], pa.RecordBatch], records: list[bytes]
) -> tuple[list[int], list[tuple[int, str]]]:
    """Places of the examples, and of other records, of a batch that cannot be decoded as a whole."""
    good: list[int] = []
    bad: list[tuple[int, str]] = []
    kinds: dict[str, pa.DataType] = {}
    for place, record in enumerate(records):
        try:
            fields = decode_batch([record]).schema
        except RuntimeError:
            bad.append((place, _NO_EXAMPLE))
            continue
        good.append(place)
        for field in fields:
            if pa.types.is_null(field.type):
                continue
            kind = field.type.value_type
            if kinds.setdefault(field.name, kind) != kind:
                raise Conflict(
                    f"Feature {field.name!r} is {NAMES[kind]} here and {NAMES[kinds[field.name]]}", got=place
                )
    return good, bad


def _empty_rows(batch: pa.RecordBatch) -> list[int]:
    """Rows without any value."""
    empty = np.ones(batch.num_rows, bool)
    for column in batch.columns:
        if column.null_count == 0:
            return []
        empty &= column.is_null().to_numpy(zero_copy_only=False)
    return [int(row) for row in np.flatnonzero(empty)]


def _says_more(record: bytes) -> bool:
    """Whether a record without a value holds anything but features without values: an example begins with field 1."""
    return bool(record) and record[:1] != b"\n"


def are_sequences(records: list[bytes]) -> bool:
    """Whether records that decode as ``tf.Example`` are ``tf.SequenceExample``, whose steps would be lost."""
    from tfx_bsl.coders.sequence_example_coder import SequenceExamplesToRecordBatchDecoder

    try:
        schema = SequenceExamplesToRecordBatchDecoder(_STEPS).DecodeBatch(records).schema
    except RuntimeError:
        return False
    return _STEPS in schema.names


def column_type(column: pa.Array) -> pa.DataType:
    """The type that a decoded column is read as: flat where no row has more than one value, text where all is UTF-8."""
    if pa.types.is_null(column.type):
        return pa.null()
    values = column.values
    kind = values.type
    if pa.types.is_large_binary(kind):
        kind = pa.string() if is_text(values) else pa.binary()
    return pa.list_(kind) if (_lengths(column) > 1).any() else kind


def is_text(values: pa.Array) -> bool:
    """Whether all bytes are valid UTF-8."""
    try:
        values.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def wider(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The type that holds values of both; None if one is of other values."""
    if pa.types.is_null(first) or pa.types.is_null(second):
        return second if pa.types.is_null(first) else first
    one, other = _value(first), _value(second)
    if NAMES[one] != NAMES[other]:
        return None
    value = pa.binary() if pa.binary() in (one, other) else one
    return pa.list_(value) if pa.types.is_list(first) or pa.types.is_list(second) else value


def name(kind: pa.DataType) -> str:
    """What ``tf.Example`` calls the values of a column's type."""
    return NAMES[_value(kind)]


def to_column(column: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """A decoded column as ``kind``; None if that does not hold it."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind)
    if pa.types.is_null(kind) or NAMES[_value(kind)] != NAMES[column.type.value_type]:
        return None
    try:
        if pa.types.is_list(kind):
            return column.cast(kind)
        lengths = _lengths(column)
        if (lengths > 1).any():
            return None
        values = column.values
        if len(values) != len(column) or not lengths.all():
            values = values.take(pa.array(np.asarray(column.offsets)[:-1], mask=lengths == 0))
        return values.cast(kind)
    except pa.ArrowInvalid:  # bytes that are no text
        return None


def serialized(batch: pa.RecordBatch) -> list[bytes]:
    """Rows of flat columns as serialized ``tf.Example``; what is missing is a feature without a value.

    Integers and truth values become int64, floats 32 bits wide, text bytes, dates and times ISO text.

    Raises
    ------
    InputError
        If a column holds what none of these types can.
    """
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    columns = to_tfx(batch)
    kept = [i for i, column in enumerate(columns.columns) if not pa.types.is_null(column.type)]
    if not kept:
        return [b""] * batch.num_rows
    narrow = [_narrow(columns.column(i)) for i in kept]
    examples: list[bytes] = RecordBatchToExamplesEncoder().encode(
        pa.RecordBatch.from_arrays(narrow, names=[columns.schema.names[i] for i in kept])
    )
    return examples


def _value(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) else kind


def _lengths(column: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Values of each row; 0 where there is none."""
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)


def _narrow(column: pa.Array) -> pa.Array:
    """``tf.Example`` knows 32-bit floats alone."""
    return column.cast(pa.list_(pa.float32())) if pa.types.is_float64(column.type.value_type) else column
