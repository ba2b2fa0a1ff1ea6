"""Examples that a component of the user's own wrote as Parquet files: checked, counted and described."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fluent_pipe.artifacts import Examples
from fluent_pipe.components.row_functions import Whose, difference, flat_columns
from fluent_pipe.errors import UserCodeError


def describe_examples(folder: Path, splits: Sequence[str], whose: Whose) -> None:
    """Write ``examples.json``.

    Parameters
    ----------
    folder
        Holds ``Split-<name>/*.parquet``.
    splits
        That there must be.
    whose
        The component.

    Raises
    ------
    UserCodeError
        If a split has no rows, there are other splits, or files differ in their columns.
    """
    other = sorted({p.name for p in folder.glob("Split-*")} - {f"Split-{split}" for split in splits})
    if other:
        fix = f"The splits are {', '.join(splits)}."
        raise UserCodeError(f"{whose.name} left {other[0]}, which is no split.", where=whose.where, fix=fix)
    first: pa.Schema | None = None
    rows = dict.fromkeys(splits, 0)
    for split in splits:
        for file in sorted((folder / f"Split-{split}").glob("*.parquet")):
            schema, count = _file(file, whose)
            first = first or schema
            if schema != first:
                fact = difference(whose, first, schema, parts="files")
                raise UserCodeError(fact, where=whose.where, fix="Write the same columns into every file.")
            rows[split] += count
        if not rows[split]:
            fix = f"Write them as Parquet files into `out / 'Split-{split}'`."
            raise UserCodeError(f"{whose.name} left no rows of split {split!r}.", where=whose.where, fix=fix)
    facts = {
        "splits": {split: {"rows": count} for split, count in rows.items()},
        "columns": {field.name: str(field.type) for field in first or ()},
        "rejected": 0,
    }
    (folder / Examples.facts_file).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")


def _file(file: Path, whose: Whose) -> tuple[pa.Schema, int]:
    """Schema and rows of one file, whose columns are stored as they are read."""
    name = f"{file.parent.name}/{file.name}"
    try:
        with pq.ParquetFile(file) as opened:
            found, rows = opened.schema_arrow, opened.metadata.num_rows
    except pa.ArrowInvalid as error:
        raise UserCodeError(f"{whose.name} left {name}, no Parquet file ({error}).", where=whose.where) from error
    schema = flat_columns(found, whose)
    for field in schema:
        if found.field(field.name).type != field.type:
            fact = f"{whose.name} left {name} with column {field.name!r} as {found.field(field.name).type}."
            raise UserCodeError(fact, where=whose.where, fix=f"Write it as {field.type}.")
    return schema, rows
