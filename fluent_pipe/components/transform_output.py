"""Transformed rows to Parquet, and the facts that describe them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from fluent_pipe import progress
from fluent_pipe.arrow.parquet import BatchWriter
from fluent_pipe.artifacts import TransformGraph
from fluent_pipe.components.base import Context
from fluent_pipe.components.label_analysis import LabelSummary, Roles
from fluent_pipe.components.staged import Staged
from fluent_pipe.components.write_examples import by_content, name_files
from fluent_pipe.store.content import of_file


class Part(NamedTuple):
    """A file that one worker wrote.

    Parameters
    ----------
    split
        Whose rows it holds.
    file
        Its name in the split's folder.
    rows
        How many.
    label
        What their label looks like.
    digest
        Hash of the file; empty on a shared disk.
    """

    split: str
    file: str
    rows: int
    label: LabelSummary
    digest: str


class FlattenRows(beam.DoFn):  # type: ignore[misc]
    """TFT's batches, all of whose columns are lists, to batches whose dense scalars are flat columns.

    A dense scalar has the shape ``[]`` or ``[1]``. Columns are ordered by name.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scalars: frozenset[str] | None = None

    def process(self, element: Any, metadata: dataset_metadata.DatasetMetadata) -> Iterator[pa.RecordBatch]:
        with self._context.explained():
            if self._scalars is None:
                specs = schema_utils.schema_as_feature_spec(metadata.schema).feature_spec
                self._scalars = frozenset(n for n, s in specs.items() if _is_scalar(s))
            batch, _ = element
            names = sorted(batch.schema.names)
            columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
            yield pa.RecordBatch.from_arrays(
                [c.flatten() if n in self._scalars else c for n, c in zip(names, columns, strict=True)], names=names
            )


class WritePart(beam.DoFn):  # type: ignore[misc]
    """Write the batches of a bundle to a file of its own and look at their label; gives one :class:`Part` a bundle.

    A bundle that is tried again leaves a file that nobody names; :func:`publish_parts` removes it. ``part`` of the
    step's work is done when a row is written.
    """

    def __init__(self, context: Context, split: str, roles: Roles, part: float) -> None:
        self._context = context
        self._part = part
        self._split = split
        self._roles = roles
        self._writer: BatchWriter | None = None
        self._label = LabelSummary()

    def start_bundle(self) -> None:
        self._writer = None
        self._label = LabelSummary()

    def process(self, batch: pa.RecordBatch) -> Iterator[Part]:
        with self._context.explained():
            if self._writer is None:
                folder = self._context.folder / f"Split-{self._split}"
                self._writer = BatchWriter(folder / f"part-{uuid.uuid4().hex}.parquet")
            self._writer.write(batch)
            self._roles.summarize(batch, self._label)
            rows = batch.num_rows
            progress.report(self._context.step, rows=rows, detail="transforming", part=rows * self._part)
        yield from ()  # parts come at the end of the bundle

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._writer is None:
            return
        with self._context.explained():
            self._writer.close()
            # On a shared disk the parts are not read again for an order that only their names would show.
            digest = of_file(self._writer.path) if self._context.is_remote else ""
            self._context.deliver(self._writer.path, digest)
        part = Part(self._split, self._writer.path.name, self._writer.rows, self._label, digest)
        yield GlobalWindows.windowed_value(part)


def label_summaries(splits: Sequence[str], parts: Sequence[Part]) -> dict[str, LabelSummary]:
    """What the label looks like, by split."""
    summaries = {split: LabelSummary() for split in splits}
    for part in parts:
        summaries[part.split].merge(part.label)
    return summaries


def publish_parts(staged: Staged, splits: Sequence[str], parts: Sequence[Part]) -> dict[str, dict[str, int]]:
    """Give the parts their final names, ``data-00000-of-000NN.parquet``, and remove files that nobody named.

    Returns
    -------
    dict
        ``{split: {"rows": int}}``.
    """
    counted = {}
    for split in splits:
        own = [part for part in parts if part.split == split]
        name_files(staged, f"Split-{split}", by_content((p.digest, p.file) for p in own), "data", ".parquet")
        counted[split] = {"rows": sum(part.rows for part in own)}
    return counted


def describe(schema: schema_pb2.Schema, folder: Path, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Facts about transformed features.

    Parameters
    ----------
    schema
        Of the transformed features.
    folder
        Where the graph was written; its vocabularies are counted.
    sizes
        Number of ids of features that have no vocabulary file.

    Returns
    -------
    dict
        ``"features"``: dtype, shape and kind by name. ``"vocabularies"``: number of ids, those for unknown values
        included, by int64 feature, where it is known.
    """
    specs = schema_utils.schema_as_feature_spec(schema).feature_spec
    vocabularies = dict(sizes)
    output = tft.TFTransformOutput(str(folder))
    for name in _vocabulary_names(folder):
        if name in specs and specs[name].dtype == tf.int64 and output.vocabulary_file_by_name(name):
            # TFT knows no domain if the ids were changed after the look-up; one more is for unknown values.
            vocabularies[name] = int(output.vocabulary_size_by_name(name)) + 1
    for feature in schema.feature:
        if feature.int_domain.is_categorical and feature.int_domain.max >= 0:
            vocabularies[feature.name] = int(feature.int_domain.max) + 1
    return {
        "features": {name: _feature(spec) for name, spec in sorted(specs.items())},
        "vocabularies": dict(sorted(vocabularies.items())),
    }


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``transform.json``."""
    (folder / TransformGraph.facts_file).write_text(json.dumps(facts, indent=1))


def _is_scalar(spec: Any) -> bool:
    return isinstance(spec, tf.io.FixedLenFeature) and list(spec.shape) in ([], [1])


def _feature(spec: Any) -> dict[str, Any]:
    kind, shape = "dense", [int(d) for d in getattr(spec, "shape", [])]
    if isinstance(spec, tf.io.RaggedFeature):
        kind = "ragged"
    elif not isinstance(spec, tf.io.FixedLenFeature):
        kind = "sparse"
        size = getattr(spec, "size", [])
        shape = [int(d) for d in (size if isinstance(size, (list, tuple)) else [size])]
    return {"dtype": spec.dtype.name, "shape": shape, "kind": kind}


def _vocabulary_names(transform_output: Path) -> list[str]:
    """Names that the preprocessing function gave its vocabularies, as TFT keeps them."""
    kept = transform_output / tft.TFTransformOutput.TRANSFORMED_METADATA_DIR / tft.TFTransformOutput.ASSET_MAP
    return sorted(json.loads(kept.read_text())) if kept.exists() else []
