"""Inputs as components see them: the live PCollection of the same job, or a read of the stored artifact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import apache_beam as beam
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from fluent_pipe.arrow.parquet import read_batches
from fluent_pipe.artifacts import Artifact, Examples, Schema, Statistics, TransformGraph
from fluent_pipe.components.base import Live

A = TypeVar("A", bound=Artifact)


class Input(Generic[A]):
    """One input. Exactly one of ``artifact`` and ``live`` is given.

    Parameters
    ----------
    name
        Name of the step's field, used in labels.
    artifact
        The published artifact.
    live
        PCollections of the producer in the same job.
    """

    def __init__(self, name: str, *, artifact: A | None = None, live: Live | None = None) -> None:
        self.name = name
        self.artifact = artifact
        self.live = live
        self._read: dict[tuple[int, str], beam.PCollection] = {}

    @property
    def value(self) -> A:
        """The published artifact, for an input whose value is needed."""
        if self.artifact is None:
            raise ValueError(f"{self.name} flows in the same job; its step must mark it as needed to have its value")
        return self.artifact

    def _get(self, pipeline: beam.Pipeline, split: str, read: Any) -> beam.PCollection:
        if self.live is not None:
            return self.live[split]
        key = (id(pipeline), split)
        if key not in self._read:
            self._read[key] = pipeline | f"Read {self.name}[{split}]" >> read()
        return self._read[key]


class ExamplesInput(Input[Examples]):
    """Rows by split. Also reads the transformed rows of a :class:`TransformGraph`."""

    def row_count(self, splits: Iterable[str]) -> int | None:
        """Rows of these splits together; None where nobody knows, as while they flow in the same job."""
        if self.artifact is None:
            return None
        try:
            stored: dict[str, dict[str, int]] = self.artifact.facts()["splits"]
            return sum(stored[split]["rows"] for split in splits)
        except (FileNotFoundError, KeyError):  # it is what reads them that says what is missing
            return None

    def read(self, pipeline: beam.Pipeline, split: str) -> beam.PCollection[pa.RecordBatch]:
        """Batches of one split, flat columns, in no particular order."""
        return self._get(pipeline, split, lambda: ReadParquet(self.value.addresses(split)))


class TransformGraphInput(Input[TransformGraph]):
    """A TFT graph, and the rows that it made."""

    def read(self, pipeline: beam.Pipeline, split: str) -> beam.PCollection[pa.RecordBatch]:
        """Transformed batches of one split."""
        return self._get(pipeline, split, lambda: ReadParquet(self.value.addresses(split)))


class StatisticsInput(Input[Statistics]):
    """TFDV statistics by split."""

    def read(
        self, pipeline: beam.Pipeline, split: str
    ) -> beam.PCollection[statistics_pb2.DatasetFeatureStatisticsList]:
        """One element: the statistics of the split."""
        return self._get(
            pipeline,
            split,
            lambda: beam.Create([self.value], reshuffle=False) | beam.Map(_statistics, split),
        )


class SchemaInput(Input[Schema]):
    """A TFDV schema."""

    def read(self, pipeline: beam.Pipeline) -> beam.PCollection[schema_pb2.Schema]:
        """One element: the schema."""
        return self._get(pipeline, "", lambda: beam.Create([self.value], reshuffle=False) | beam.Map(_schema))


class ReadParquet(beam.PTransform):  # type: ignore[misc]
    """Batches of Parquet files, given as paths or URLs; only these travel through Beam."""

    def __init__(self, files: list[str]) -> None:
        super().__init__()
        self._files = files

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[pa.RecordBatch]:
        """Create the names, read each on a worker."""
        return begin | "Files" >> beam.Create(self._files) | "Read" >> beam.FlatMap(read_batches)


def _statistics(statistics: Statistics, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    import tensorflow_data_validation as tfdv

    return tfdv.load_stats_binary(str(statistics.split(split) / "FeatureStats.pb"))


def _schema(schema: Schema) -> schema_pb2.Schema:
    return load_schema(str(schema.path / "schema.pbtxt"))


def load_schema(path: str) -> schema_pb2.Schema:
    """The schema in a ``.pbtxt`` file."""
    from google.protobuf import text_format

    with open(path, encoding="utf-8") as file:
        return text_format.Parse(file.read(), schema_pb2.Schema())
