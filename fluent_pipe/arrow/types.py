"""Types of columns: the chain that text is read by, the types that users may give, and what files must agree on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

CHAIN = (pa.null(), pa.int64(), pa.float64(), pa.string())
"""Types that are inferred from text, each holding what those before it hold."""

GIVEN: Mapping[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
"""Types by the names that users give."""

Types = dict[str, pa.DataType]

_ZONED = r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"


def widen(kind: pa.DataType) -> pa.DataType:
    """A type that Arrow inferred from text, as a type of the chain: truth values, dates and times stay text."""
    return kind if kind in CHAIN else pa.string()


def join(types: Iterable[pa.DataType]) -> pa.DataType:
    """The first type of the chain that holds all ``types``, themselves of the chain.

    Examples
    --------
    >>> join([pa.int64(), pa.null(), pa.float64()])
    DataType(double)
    """
    return CHAIN[max((CHAIN.index(kind) for kind in types), default=0)]


def join_columns(first: Types, second: Types) -> Types:
    """Both sides' types joined, column by column."""
    return {name: join((kind, second.get(name, pa.null()))) for name, kind in first.items()}


def to_timestamp(text: pa.Array) -> pa.Array:
    """ISO 8601 text as ``timestamp[us]``; times with a zone are given in UTC.

    Raises
    ------
    pa.ArrowInvalid
        If a value is no such text.
    """
    if pa.types.is_null(text.type):
        return text.cast(pa.timestamp("us"))
    zoned = pc.match_substring_regex(text, _ZONED)
    if not pc.any(zoned).as_py():
        return text.cast(pa.timestamp("us"))
    nothing = pa.scalar(None, pa.string())
    local = pc.if_else(zoned, nothing, text).cast(pa.timestamp("us"))
    in_utc = pc.if_else(zoned, text, nothing).cast(pa.timestamp("us", tz="UTC"))
    return pc.coalesce(in_utc.cast(pa.timestamp("us")), local)


def flat(kind: pa.DataType) -> pa.DataType | None:
    """The type that a stored column is read as: dictionaries decoded, large types small; None if it is nested."""
    if pa.types.is_dictionary(kind):
        return flat(kind.value_type)
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        value = flat(kind.value_type)
        return None if value is None or pa.types.is_list(value) else pa.list_(value)
    return None if pa.types.is_nested(kind) else kind


def common(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The type that holds values of two flat stored types; None if they are of different kinds.

    Integers of two widths become ``int64``, integers with floats ``float64``, times of two units microseconds.
    """
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if pa.types.is_list(first) and pa.types.is_list(second):
        value = common(first.value_type, second.value_type)
        return None if value is None else pa.list_(value)
    if pa.types.is_integer(first) and pa.types.is_integer(second):
        return pa.int64()
    if _is_number(first) and _is_number(second):
        return pa.float64()
    if pa.types.is_timestamp(first) and pa.types.is_timestamp(second) and first.tz == second.tz:
        return pa.timestamp("us", tz=first.tz)
    return None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
