"""Rows to splits by a hash, the same for any number of files, blocks, ranges and workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fluent_pipe.arrow.hashing import hash_rows


@dataclass(frozen=True)
class Splitter:
    """Divides batches by the hash of each row.

    Parameters
    ----------
    shares
        Split names and their shares, relative to their sum.
    partition_by
        The column whose value alone decides; None: the whole row, so that equal rows stay together.

    Examples
    --------
    >>> batch = pa.RecordBatch.from_pydict({"user": ["a", "b", "a", "c"]})
    >>> sum(part.num_rows for _, part in Splitter((("train", 8), ("eval", 2))).split(batch))
    4
    """

    shares: Sequence[tuple[str, float]]
    partition_by: str | None = None

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """The batch's rows by split, in order; splits that get none are left out."""
        if len(self.shares) == 1:
            yield self.shares[0][0], batch
            return
        assigned = self.assign(batch)
        for index, (name, _) in enumerate(self.shares):
            rows = np.flatnonzero(assigned == index)
            if len(rows):
                yield name, batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))

    def assign(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """Index of each row's split; shape ``(batch.num_rows,)``."""
        columns = batch.columns
        if self.partition_by is not None:
            columns = [batch.column(batch.schema.get_field_index(self.partition_by))]
        positions = hash_rows(columns, batch.num_rows) / 2.0**64
        bounds = np.cumsum([share for _, share in self.shares])
        return np.searchsorted(bounds[:-1] / bounds[-1], positions, side="right")
