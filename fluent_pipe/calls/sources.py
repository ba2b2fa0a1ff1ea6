"""Calls that bring rows in: the first of a chain."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from fluent_pipe.chain import Chain
from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps import checks
from fluent_pipe.steps.sources import (
    NULL_VALUES,
    ExamplesFormat,
    FromBeam,
    FromCsv,
    FromMemory,
    FromParquet,
    FromTfRecord,
    InMemory,
    Transform,
)

if TYPE_CHECKING:
    import apache_beam as beam
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
        examples_format: ExamplesFormat = "parquet",
    ) -> Self:
        """Read CSV files: plain, ``.gz`` or ``.zip``.

        Types are decided for the whole input: integers, floats, else text (dates too, unless asked otherwise).

        Parameters
        ----------
        uri
            A path or URL (``gs://``, ``s3://``), a glob or a list of them; or one of these per split:
            ``{"train": "a/*.csv", "eval": "b/*.csv"}``.
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
        examples_format
            ``"tfrecord"``: the rows also lie as gzipped TFRecord of ``tf.Example`` where TFX looks for them, in
            ``Split-<name>/``. Costs their disk space and about as much time as reading did.

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
                examples_format=_format(examples_format),
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
        examples_format: ExamplesFormat = "parquet",
    ) -> Self:
        """Read Parquet files.

        Parameters
        ----------
        uri, splits, partition_by, examples_format
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
                examples_format=_format(examples_format),
            )
        )

    def from_tfrecord(
        self,
        uri: Patterns | Mapping[str, Patterns],
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        columns: Sequence[str] | None = None,
        max_rejected: float = 0.001,
        examples_format: ExamplesFormat = "parquet",
    ) -> Self:
        """Read TFRecord files of ``tf.Example``, gzipped or not, such as TFX leaves.

        A feature is a flat column if no record has more than one value of it, else a list. Bytes are text if all
        values of the feature are UTF-8, else binary. What a record leaves out is missing there. Columns are in the
        order of their names.

        Parameters
        ----------
        uri, splits, partition_by, examples_format
            As for :meth:`from_csv`.
        columns
            Features to read. Default: all.
        max_rejected
            Share of records that may be no ``tf.Example``, in [0, 1]; above it the run fails. They are kept aside with
            file, number of the record and reason.

        Raises
        ------
        ArgumentError
            If an argument is not valid. At the run, a file that is no TFRecord, is cut short or is damaged, and a
            feature of two types, are :class:`~fluent_pipe.errors.InputError`.
        """
        return self._source(
            FromTfRecord(
                id=self._id("from_tfrecord"),
                patterns=checks.patterns(uri, "from_tfrecord"),
                splits=checks.splits(splits, uri, DEFAULT_SPLITS),
                partition_by=partition_by,
                columns=None if columns is None else checks.names(columns, "columns"),
                max_rejected=checks.share(max_rejected, "max_rejected"),
                examples_format=_format(examples_format),
            )
        )

    def from_beam(
        self,
        rows: beam.PTransform,
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        version: str | None = None,
        examples_format: ExamplesFormat = "parquet",
    ) -> Self:
        """Take the rows of a Beam transform of your own: whatever Beam reads.

        Parameters
        ----------
        rows
            From the pipeline to a ``PCollection`` of rows: dictionaries (or named tuples, ``beam.Row``) that all have
            the same names, None where a value is missing; or Arrow record batches or tables, which need no work a
            row. It must be bounded. Columns are in the order of their names; types are decided for all rows.
        splits, partition_by, examples_format
            As for :meth:`from_csv`.
        version
            A name for the present state of the data. The transform's code and what it holds make the cache key; the
            data behind it is not seen. So without a new ``version``, or ``cache(False)``, the rows of an earlier run
            are used again.

        Raises
        ------
        ArgumentError
            If ``rows`` is no ``PTransform``, or it holds what has no content that stays the same from run to run.
            At the run, what it raises is :class:`~fluent_pipe.errors.UserCodeError`, and rows that do not go together
            are :class:`~fluent_pipe.errors.InputError`.
        """
        _check_transform(rows)
        return self._source(
            FromBeam(
                id=self._id("from_beam"),
                rows=Transform(rows),
                splits=checks.splits(splits, "", DEFAULT_SPLITS),
                partition_by=partition_by,
                data_version=None if version is None else str(version),
                examples_format=_format(examples_format),
            )
        )

    def from_pandas(
        self,
        frame: pd.DataFrame,
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        examples_format: ExamplesFormat = "parquet",
    ) -> Self:
        """Take the rows of a DataFrame; its index is left out.

        Parameters
        ----------
        frame
            Any number of rows; columns of numbers, text, dates or lists.
        splits, partition_by, examples_format
            As for :meth:`from_csv`.
        """
        return self._memory(frame, "from_pandas", ("DataFrame",), splits, partition_by, examples_format)

    def from_arrow(
        self,
        table: pa.Table | pa.RecordBatch,
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        examples_format: ExamplesFormat = "parquet",
    ) -> Self:
        """Take the rows of an Arrow table or record batch.

        Parameters
        ----------
        table
            Flat columns, or lists of flat values.
        splits, partition_by, examples_format
            As for :meth:`from_csv`.
        """
        return self._memory(table, "from_arrow", ("Table", "RecordBatch"), splits, partition_by, examples_format)

    def _memory(
        self,
        rows: Any,
        call: str,
        wanted: tuple[str, ...],
        splits: Mapping[str, float] | None,
        partition_by: str | None,
        examples_format: ExamplesFormat,
    ) -> Self:
        if type(rows).__name__ not in wanted:
            raise ArgumentError(f"{call}() got a {type(rows).__name__}.", valid=wanted)
        return self._source(
            FromMemory(
                id=self._id(call),
                data=InMemory(rows),
                kind=call,
                splits=checks.splits(splits, "", DEFAULT_SPLITS),
                partition_by=partition_by,
                examples_format=_format(examples_format),
            )
        )


def _format(given: ExamplesFormat) -> ExamplesFormat:
    return checks.one_of(given, get_args(ExamplesFormat), "examples_format")


def _check_transform(rows: Any) -> None:
    # Who has a transform has imported Beam.
    beam = sys.modules.get("apache_beam")
    if beam is None or not isinstance(rows, beam.PTransform):
        raise ArgumentError(
            f"from_beam() takes a Beam PTransform, got {rows!r}.",
            fix='For example beam.io.ReadFromJson("trips.json") | beam.Map(to_dictionary).',
        )
