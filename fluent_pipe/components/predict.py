"""Raw batches to batches of kept columns and predictions; rows that fail go aside, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe import progress
from fluent_pipe.arrow.csv import LONGEST_TEXT
from fluent_pipe.arrow.files import Rejected
from fluent_pipe.arrow.parquet import ROWS_PER_BATCH
from fluent_pipe.arrow.predictions import json_lines
from fluent_pipe.artifacts import Model
from fluent_pipe.components.base import Context
from fluent_pipe.components.trained_columns import TrainedColumns
from fluent_pipe.components.write_examples import RejectedWriter, Seen, check_rejected
from fluent_pipe.training.raw_inputs import ServedModel
from fluent_pipe.training.scoring import Outputs, score

ACCOUNTS = "accounts"
_MANY = 100
"""Fewer failed rows are worth an exact count."""

Columns = tuple[tuple[str, str], ...]


class Account(NamedTuple):
    """What one bundle came to: failed rows, and the columns of the others with their types."""

    failed: Seen
    columns: Columns


@dataclass(frozen=True)
class Limit:
    """How many rows may lie aside: a share, and no more rows than this are there, where that is known."""

    share: float
    most_rows: int | None

    def check_early(self, failed: Seen) -> None:
        """Raise ``InputError`` once the limit is passed whatever the other rows are."""
        if self.most_rows is not None and failed.rejected >= _MANY:
            check_rejected([failed], self.most_rows, self.share, at_most=True, done="scored")


class Predict(beam.DoFn):  # type: ignore[misc]
    """Scores whole batches; failed rows go aside, their :class:`Account` to the output ``accounts``."""

    def __init__(
        self,
        context: Context,
        model: Model,
        trained: TrainedColumns,
        keep: tuple[str, ...],
        outputs: Outputs,
        limit: Limit,
    ) -> None:
        super().__init__()
        self._context = context
        self._artifact = model
        self._trained = trained
        self._keep = keep
        self._outputs = outputs
        self._limit = limit

    def setup(self) -> None:
        with self._context.explained():
            self._model = ServedModel(str(self._artifact.serving))

    def start_bundle(self) -> None:
        self._rejected = RejectedWriter(self._context)
        self._columns: Columns = ()

    def process(self, element: tuple[str, pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score a batch that was read from a file."""
        file, batch = element
        with self._context.explained():
            for begin in range(0, batch.num_rows, ROWS_PER_BATCH):
                progress.check()
                part = batch.slice(begin, ROWS_PER_BATCH)
                predictions, good = score(self._predict, part, self._outputs, partial(self._put_aside, file, part))
                if predictions is not None:
                    yield self._beside(predictions, part if good.all() else part.filter(pa.array(good)))

    def finish_bundle(self) -> Iterator[Any]:
        with self._context.explained():
            self._rejected.close()
        account = Account(self._rejected.seen(0), self._columns)
        yield beam.pvalue.TaggedOutput(ACCOUNTS, WindowedValue(account, MIN_TIMESTAMP, [GlobalWindow()]))

    def _predict(self, batch: pa.RecordBatch) -> Any:
        return self._model.predict(self._trained.of(batch))

    def _put_aside(self, file: str, batch: pa.RecordBatch, row: int, why: str) -> None:
        text = json_lines(batch.slice(row, 1)).decode().strip()[:LONGEST_TEXT]
        self._rejected.write([Rejected(file, 0, why, text)])
        self._limit.check_early(self._rejected.seen(0))

    def _beside(self, predictions: Mapping[str, pa.Array], rows: pa.RecordBatch) -> pa.RecordBatch:
        kept = [rows.column(rows.schema.get_field_index(name)) for name in self._keep]
        names = [*self._keep, *predictions]
        scored = pa.RecordBatch.from_arrays([*kept, *predictions.values()], names=names)
        self._columns = tuple((field.name, str(field.type)) for field in scored.schema)
        return scored
