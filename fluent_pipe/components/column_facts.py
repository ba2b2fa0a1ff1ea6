"""A look at stored columns before features are chosen for them: few or many distinct values, and which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fluent_pipe.arrow.opening import parquet_file
from fluent_pipe.arrow.parquet import ROWS_PER_BATCH
from fluent_pipe.arrow.tfx import plain


@dataclass
class ColumnFacts:
    """What was seen of one column.

    Parameters
    ----------
    limit
        Most distinct values to keep.
    values
        Distinct present values; None once there are more than ``limit``.
    nulls
        Missing values seen while ``values`` was still kept.
    """

    limit: int
    values: set[Any] | None = field(default_factory=set)
    nulls: int = 0

    def add(self, column: pa.Array) -> None:
        """Look at more rows."""
        if self.values is None:
            return
        self.nulls += column.null_count
        present = plain(column.drop_null())
        if pa.types.is_floating(present.type):
            finite = pc.is_finite(present)
            self.nulls += len(present) - (pc.sum(finite).as_py() or 0)
            present = present.filter(finite)
        self.values.update(pc.unique(present).to_pylist())
        if len(self.values) > self.limit:
            self.values = None

    @property
    def ordered(self) -> tuple[Any, ...] | None:
        """The distinct values in order; texts as bytes."""
        return None if self.values is None else tuple(sorted(self.values))


def column_facts(
    files: Sequence[str | Path], limits: Mapping[str, int], *, rows: int | None = None
) -> dict[str, ColumnFacts]:
    """Look at flat columns of Parquet files.

    A column is read no further once it has more than its limit of distinct values.

    Parameters
    ----------
    files
        The files of one split: paths or URLs.
    limits
        Most distinct values to keep, by column. Columns that are absent or hold lists are left out of the result.
    rows
        Most rows to look at in all; None for all.
    """
    facts: dict[str, ColumnFacts] = {}
    left = rows
    for path in files:
        with parquet_file(path) as file:
            for name in file.schema_arrow.names:
                if name in limits and not pa.types.is_nested(file.schema_arrow.field(name).type):
                    facts.setdefault(name, ColumnFacts(limits[name]))
            for group in range(file.num_row_groups):
                # Asked for each group, so that a column with many values is dropped early.
                wanted = [n for n, f in facts.items() if f.values is not None and n in file.schema_arrow.names]
                if not wanted or (left is not None and left <= 0):
                    break
                for batch in file.iter_batches(ROWS_PER_BATCH, row_groups=[group], columns=wanted):
                    for name in wanted:
                        facts[name].add(batch.column(batch.schema.get_field_index(name)))
                if left is not None:
                    left -= file.metadata.row_group(group).num_rows
    return facts
