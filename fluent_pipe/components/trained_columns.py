"""The columns that a model was trained on, and whether other rows have them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fluent_pipe.arrow.types import CHAIN, Types, join
from fluent_pipe.errors import InputError


@dataclass(frozen=True)
class TrainedColumns:
    """What a model expects of raw rows. Pickles.

    Parameters
    ----------
    types
        Types of all columns of the training.
    read
        Those that the model reads.
    optional
        True where the model takes serialized examples, so that it is not known which of ``read`` it can do without.
    """

    types: Types
    read: tuple[str, ...]
    optional: bool = False

    def given_types(self, schema: pa.Schema, by_user: Collection[str]) -> Types:
        """Types to read the text of columns by that the model reads, so that a column of other numbers still fits.

        Parameters
        ----------
        schema
            What the text looks like.
        by_user
            Columns whose types the user gave.
        """
        trained = {n: _from_text(self.types[n]) for n in self.read if n in schema.names and n not in by_user}
        return {name: kind for name, kind in trained.items() if kind is not None}

    def guessed_types(self, schema: pa.Schema) -> Types:
        """Types for the text of other columns of the training: no narrower than they were there."""
        both = {f.name: (f.type, self.types[f.name]) for f in schema if f.name in self.types}
        return {name: join(kinds) for name, kinds in both.items() if all(kind in CHAIN for kind in kinds)}

    def check(self, schema: pa.Schema) -> None:
        """Raise ``InputError`` where a column that the model reads is missing, or holds another kind of values."""
        missing = [name for name in self.read if name not in schema.names]
        if missing and not (self.optional and len(missing) < len(self.read)):
            what = "column" if len(missing) == 1 else "columns"
            raise InputError(
                f"The model needs {what} {', '.join(map(repr, missing))}, which these rows do not have.",
                got=missing[0],
                valid=schema.names,
            )
        for name in self.read:
            if name in schema.names and not _fits(schema.field(name).type, self.types[name]):
                raise InputError(
                    f"Column {name!r} is {schema.field(name).type} here, and the model was trained on "
                    f"{self.types[name]}.",
                    fix="Convert it before; text in CSV files is read by the trained types.",
                )

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns that the model reads, in the trained types.

        Raises
        ------
        InputError
            If a value is not of the trained type, such as 1.5 for an integer.
        """
        names = [name for name in self.read if name in batch.schema.names]
        columns = [_cast(batch.column(batch.schema.get_field_index(name)), self.types[name], name) for name in names]
        return pa.RecordBatch.from_arrays(columns, names=names)


def _from_text(kind: pa.DataType) -> pa.DataType | None:
    """The type that text is read as, for a trained type; None where it is as well inferred."""
    return {
        "whole": pa.bool_() if pa.types.is_boolean(kind) else pa.int64(),
        "number": pa.float64(),
        "text": pa.string(),
        "date": pa.date32(),
        "time": pa.timestamp("us"),
    }.get("" if pa.types.is_list(kind) else _kind(kind))


def _fits(here: pa.DataType, trained: pa.DataType) -> bool:
    ours, theirs = _kind(here), _kind(trained)
    numbers = ("whole", "number")
    return "missing" in (ours, theirs) or ours == theirs or (ours in numbers and theirs in numbers)


def _kind(kind: pa.DataType) -> str:
    tests = {
        "missing": pa.types.is_null,
        "whole": lambda t: pa.types.is_integer(t) or pa.types.is_boolean(t),
        "number": lambda t: pa.types.is_floating(t) or pa.types.is_decimal(t),
        "text": lambda t: t in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary()),
        "date": pa.types.is_date,
        "time": pa.types.is_timestamp,
    }
    if pa.types.is_list(kind):
        return _kind(kind.value_type)
    return next((name for name, test in tests.items() if test(kind)), str(kind))


def _cast(column: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    if column.type == kind or pa.types.is_list(column.type) != pa.types.is_list(kind) or pa.types.is_null(kind):
        return column
    # Only whole numbers must not lose anything on the way; a float may lose digits, and a time what it is finer.
    whole = _kind(kind) == "whole" and not pa.types.is_list(kind)
    try:
        return pc.cast(column, kind, safe=whole)
    except pa.ArrowInvalid as error:
        raise InputError(f"column {name!r}: {error}") from error


def check_names(keep: Sequence[str] | None, there: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
    """The columns to keep, all where that is None.

    Raises
    ------
    InputError
        If one does not exist, or has the name of a prediction column.
    """
    unknown = next((name for name in keep or () if name not in there), None)
    if unknown is not None:
        raise InputError(f"keep= names column {unknown!r}, which these rows do not have.", got=unknown, valid=there)
    kept = tuple(there if keep is None else dict.fromkeys(keep))
    taken = next((name for name in kept if name in outputs), None)
    if taken is not None:
        raise InputError(
            f"These rows have a column {taken!r}, and predictions are written under that name.",
            fix=f"Leave it out: name the columns to keep in keep=, without {taken!r}.",
        )
    return kept
