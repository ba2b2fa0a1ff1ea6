"""Calls that bring rows in: the first of a chain."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluent_pipe.chain import Chain
from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps import checks
from fluent_pipe.steps.sources import NULL_VALUES, FromCsv, FromMemory, FromParquet, InMemory

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from typing_extensions import Self

Patterns = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
DEFAULT_SPLITS: Mapping[str, float] = {"train": 8, "eval": 2}


@dataclass(frozen=True, repr=False)
class SourceCalls(Chain):
    """Calls that begin a chain."""

    def from_csv(
        self,
        uri: Patterns | Mapping[str, Patterns],
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        delimiter: str = ",",
        column_names: Sequence[str] | None = None,
        null_values: Sequence[str] = NULL_VALUES,
        types: Mapping[str, str] | None = None,
        quote: str = '"',
        escape: str | None = None,
        encoding: str = "utf-8",
        max_rejected: float = 0.001,
    ) -> Self:
        """Read CSV files: plain, ``.gz`` or ``.zip``.

        Types are decided for the whole input: integers, floats, else text (dates too, unless asked otherwise).

        Parameters
        ----------
        uri
            A path, a glob or a list of them; or one of these per split: ``{"train": "a/*.csv", "eval": "b/*.csv"}``.
        splits
            Split names and shares. Default ``{"train": 8, "eval": 2}``. A row's split depends on its content alone.
        partition_by
            Column that decides the split, so that rows with one value stay together. Default: the whole row.
        delimiter, quote, escape
            Single characters. ``escape=None``: a doubled quote stands for a quote.
        column_names
            Names in order, for files without a header line.
        null_values
            Texts that mean "missing".
        types
            Types by column over the inferred ones: ``"int"``, ``"float"``, ``"string"``, ``"bool"``, ``"date"``,
            ``"timestamp"``. A row whose value does not fit is rejected.
        encoding
            Of the files.
        max_rejected
            Share of rows that may fail to parse, in [0, 1]; above it the run fails. Rejected rows are kept aside
            with file, line and reason.

        Raises
        ------
        ArgumentError
            If an argument is not valid. Problems of the files are :class:`~fluent_pipe.errors.InputError` at the run.
        """
        return self._source(
            FromCsv(
                id=self._id("from_csv"),
                patterns=checks.patterns(uri, "from_csv"),
                splits=checks.splits(splits, uri, DEFAULT_SPLITS),
                partition_by=partition_by,
                max_rejected=checks.share(max_rejected, "max_rejected"),
                **checks.dialect(delimiter, quote, escape),
                column_names=None if column_names is None else checks.names(column_names, "column_names"),
                null_values=checks.names(null_values, "null_values"),
                types=checks.column_types(types),
                encoding=checks.encoding(encoding),
            )
        )

    def from_parquet(
        self,
        uri: Patterns | Mapping[str, Patterns],
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Self:
        """Read Parquet files.

        Parameters
        ----------
        uri, splits, partition_by
            As for :meth:`from_csv`.
        columns
            Columns to read. Default: all.
        """
        return self._source(
            FromParquet(
                id=self._id("from_parquet"),
                patterns=checks.patterns(uri, "from_parquet"),
                splits=checks.splits(splits, uri, DEFAULT_SPLITS),
                partition_by=partition_by,
                columns=None if columns is None else checks.names(columns, "columns"),
            )
        )

    def from_pandas(
        self, frame: pd.DataFrame, *, splits: Mapping[str, float] | None = None, partition_by: str | None = None
    ) -> Self:
        """Take the rows of a DataFrame; its index is left out.

        Parameters
        ----------
        frame
            Any number of rows; columns of numbers, text, dates or lists.
        splits, partition_by
            As for :meth:`from_csv`.
        """
        return self._memory(frame, "from_pandas", "DataFrame", splits, partition_by)

    def from_arrow(
        self,
        table: pa.Table | pa.RecordBatch,
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
    ) -> Self:
        """Take the rows of an Arrow table or record batch.

        Parameters
        ----------
        table
            Flat columns, or lists of flat values.
        splits, partition_by
            As for :meth:`from_csv`.
        """
        return self._memory(table, "from_arrow", ("Table", "RecordBatch"), splits, partition_by)

    def _memory(
        self,
        rows: Any,
        call: str,
        wanted: str | tuple[str, ...],
        splits: Mapping[str, float] | None,
        partition_by: str | None,
    ) -> Self:
        if type(rows).__name__ not in ((wanted,) if isinstance(wanted, str) else wanted):
            raise ArgumentError(
                f"{call}() got a {type(rows).__name__}.", valid=[wanted] if isinstance(wanted, str) else wanted
            )
        return self._source(
            FromMemory(
                id=self._id(call),
                data=InMemory(rows),
                kind=call,
                splits=checks.splits(splits, "", DEFAULT_SPLITS),
                partition_by=partition_by,
            )
        )
