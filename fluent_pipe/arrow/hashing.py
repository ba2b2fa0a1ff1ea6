"""A 64-bit hash of every cell, equal for equal values on any machine, in any batch and under any library version."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NULL = np.uint64(0x6A09E667F3BCC909)


def hash_rows(columns: Iterable[pa.Array], rows: int) -> Hashes:
    """One hash a row over all ``columns``, in their order.

    Parameters
    ----------
    columns
        Arrays of ``rows`` values, flat or lists of flat.

    Returns
    -------
    Hashes
        Shape ``(rows,)``.
    """
    mixed = np.zeros(rows, np.uint64)
    for column in columns:
        mixed = _mix(mixed * _GOLDEN + hash_values(column))
    return mixed


def hash_values(column: pa.Array) -> Hashes:
    """One hash a value. Null has one of its own; text and bytes of the same letters are equal, as are list kinds."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _by_dictionary(column)
    if pa.types.is_null(kind):
        return np.full(len(column), _NULL, np.uint64)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _mask(_lists(column), column)
    if _is_text(kind):
        return _by_dictionary(column.dictionary_encode())
    return _mask(_mix(_bits(column)), column)


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary())


def _by_dictionary(column: pa.DictionaryArray) -> Hashes:
    words = column.dictionary
    hashes = _texts(words) if _is_text(words.type) else hash_values(words)
    # One more place at the end is for null.
    hashes = np.append(_mask(hashes, words), _NULL)
    indices = column.indices.cast(pa.int64()).fill_null(len(words)).to_numpy(zero_copy_only=False)
    return np.asarray(hashes[indices], np.uint64)


def _bits(column: pa.Array) -> Hashes:
    kind = column.type
    if pa.types.is_fixed_size_binary(kind):
        return hash_values(column.cast(pa.binary()))
    if pa.types.is_decimal(kind):
        return _decimals(column)
    if pa.types.is_floating(kind):
        floats = column.cast(pa.float64()) if not pa.types.is_float16(kind) else column
        return np.asarray(floats.fill_null(0.0).to_numpy(zero_copy_only=False).astype(np.float64).view(np.uint64))
    if pa.types.is_uint64(kind):
        return np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False), np.uint64)
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        column = column.cast(pa.int32())
    integers = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(integers, np.int64).view(np.uint64)


def _decimals(column: pa.Array) -> Hashes:
    words = column.type.byte_width // 8
    data = column.buffers()[1]
    if data is None:
        return np.zeros(len(column), np.uint64)
    end = (column.offset + len(column)) * words
    bits = np.frombuffer(data, np.uint64, count=end).reshape(-1, words)[column.offset :]
    mixed = np.zeros(len(column), np.uint64)
    for word in bits.T:
        mixed = _mix(mixed * _GOLDEN + word)
    return mixed


def _texts(words: pa.Array) -> Hashes:
    """Sum over a text's bytes of a random function of byte and place, so that it is one pass over all bytes."""
    if len(words) == 0:
        return np.empty(0, np.uint64)
    words = words.cast(pa.large_binary())
    _, ends, data = words.buffers()
    offsets = np.frombuffer(ends, np.int64)[words.offset : words.offset + len(words) + 1]
    letters = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data is not None else np.empty(0, np.uint8)
    offsets = offsets - offsets[0]
    return _sums(_mix(letters.astype(np.uint64) + _places(offsets) * np.uint64(256)), offsets)


def _lists(column: pa.Array) -> Hashes:
    if pa.types.is_fixed_size_list(column.type):
        column = ragged(column)
    offsets = np.asarray(column.offsets.to_numpy(zero_copy_only=False), np.int64)
    values = hash_values(column.values.slice(offsets[0], offsets[-1] - offsets[0]))
    offsets = offsets - offsets[0]
    return _sums(_mix(values + _places(offsets) * _GOLDEN), offsets)


def ragged(column: pa.Array) -> pa.Array:
    """A column of lists of one fixed size as lists of any size, which Arrow does not cast."""
    size = column.type.list_size
    places = np.arange(len(column) + 1, dtype=np.int32) * size
    present = column.is_valid().to_numpy(zero_copy_only=False)
    values = column.flatten() if column.null_count == 0 else column.filter(column.is_valid()).flatten()
    if column.null_count:
        places = np.concatenate([np.zeros(1, np.int32), np.cumsum(present, dtype=np.int32)]) * size
    missing = np.append(~present, False)
    offsets = pa.array(places, mask=missing if column.null_count else None)
    return pa.ListArray.from_arrays(offsets, values)


def _places(offsets: npt.NDArray[np.int64]) -> Hashes:
    begins = np.repeat(offsets[:-1], np.diff(offsets))
    return np.asarray(np.arange(offsets[-1], dtype=np.int64) - begins, np.uint64)


def _sums(hashes: Hashes, offsets: npt.NDArray[np.int64]) -> Hashes:
    totals = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes, dtype=np.uint64)])
    lengths = np.diff(offsets).astype(np.uint64)
    return _mix(totals[offsets[1:]] - totals[offsets[:-1]] + lengths * _GOLDEN)


def _mask(hashes: Hashes, column: pa.Array) -> Hashes:
    if column.null_count == 0:
        return hashes
    return np.where(column.is_valid().to_numpy(zero_copy_only=False), hashes, _NULL)


def _mix(bits: Hashes) -> Hashes:
    # The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every input bit moves every output bit.
    bits = bits + _GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)), np.uint64)
