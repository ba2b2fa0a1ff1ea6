"""``preprocess``: TensorFlow Transform's analysis and transform, on Arrow batches from end to end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import apache_beam as beam
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.column_facts import ColumnFacts, column_facts
from fluent_pipe.components.default_features import DefaultFeatures, default_features, limits
from fluent_pipe.components.inputs import ExamplesInput, SchemaInput, load_schema
from fluent_pipe.components.label_analysis import MOST_VALUES, Label, LabelSummary, Roles, label_facts
from fluent_pipe.components.preprocessing_function import PreprocessingFunction, graph_failure
from fluent_pipe.components.transform_elsewhere import transform_elsewhere, write_transform_fn
from fluent_pipe.components.transform_input import ToTransformInput, adapter_config, used_schema
from fluent_pipe.components.transform_output import (
    FlattenRows,
    Part,
    WritePart,
    describe,
    label_summaries,
    publish_parts,
    write_facts,
)
from fluent_pipe.errors import FluentPipeError, UserCodeError
from fluent_pipe.remote import joined
from fluent_pipe.steps.model import Preprocess as PreprocessStep

TEMPORARY = ".transform"

LOOK_AT_ROWS = 1_000_000
"""Most rows that are looked at to choose default features."""


class Preprocess(Component):
    """Analyse the first split, transform all, and find out what the label is.

    Leaves ``transform_fn/``, ``transformed_metadata/``, ``metadata/``, ``Split-<name>/*.parquet`` and
    ``transform.json``. Flows on: transformed batches by split.

    Parameters
    ----------
    step
        What was asked for.
    context
        Of the execution.
    examples
        Stored rows, read twice: for the analysis and for the transform. So memory does not grow with rows.
    schema
        The schema, whose value is needed.
    """

    def __init__(self, step: PreprocessStep, context: Context, examples: ExamplesInput, schema: SchemaInput) -> None:
        super().__init__(context)
        self._step = step
        self._examples = examples
        self._schema = schema
        self._used: schema_pb2.Schema | None = None
        self._function: PreprocessingFunction | DefaultFeatures | None = None

    def prepare(self) -> None:
        """Read the schema and resolve the user's function or choose features."""
        step = self._step
        self._used = used_schema(load_schema(str(self._schema.value.path / "schema.pbtxt")))
        if step.function is None:
            self._function = default_features(self._used, self._look(self._used), label=step.label, weight=step.weight)
        else:
            self._function = PreprocessingFunction(step.function, self.context, label=step.label, weight=step.weight)
            self._function.resolve()

    def build(self, pipeline: beam.Pipeline) -> Live:
        """Add analysis, transform, label analysis and writing to ``pipeline``."""
        if self._used is None or self._function is None:
            self.prepare()
        assert self._used is not None
        assert self._function is not None
        try:
            return self._build(pipeline, self._used, self._function)
        except FluentPipeError:
            raise
        except Exception as error:
            # The function itself went well; what it returned is not what TFT can analyse or store.
            raise UserCodeError(
                f"TensorFlow Transform cannot use what the function returns. {type(error).__name__}: {error}",
                where=self._function.where,
            ) from error

    def explain(self, error: Exception) -> FluentPipeError | None:
        """An operation of the transform graph that failed on some rows."""
        message = graph_failure(str(error))
        if message is None or self._function is None:
            return None
        split = re.search(r"Transform\[(\w+)\]", str(error))
        rows = f"rows of split {split[1]!r}" if split else "some rows"
        return UserCodeError(
            f"TensorFlow cannot compute the features of {rows}: {message}.",
            where=self._function.where,
            fix="Make the function take every value that the data holds.",
            step=self.context.step,
        )

    def _look(self, schema: schema_pb2.Schema) -> Mapping[str, ColumnFacts]:
        files = self._examples.value.addresses(self._step.split_names[0])
        label = self._step.label
        wanted = {name: limit for name, limit in limits(schema).items() if name != label}
        facts = column_facts(files, wanted, rows=LOOK_AT_ROWS)
        # The label's classes must be complete, so all rows are looked at.
        return facts if label is None else {**facts, **column_facts(files, {label: MOST_VALUES})}

    def _build(
        self, pipeline: beam.Pipeline, used: schema_pb2.Schema, function: PreprocessingFunction | DefaultFeatures
    ) -> Live:
        config = adapter_config(used)
        # The same rows, read anew: one PCollection for both passes would be kept in memory between them.
        again = ExamplesInput(f"{self._examples.name} again", artifact=self._examples.value)
        first = self._step.split_names[0]
        with self._transforming():
            rows = self._examples.read(pipeline, first) | f"To tensors[{first}]" >> beam.ParDo(
                ToTransformInput(self.context, first, config, part=self._part_of_a_row())
            )
            transform_fn = (rows, config) | "Analyze" >> tft_beam.AnalyzeDataset(function)
            flat: dict[str, beam.PCollection] = {}
            for split in self._step.split_names:
                rows = again.read(pipeline, split) | f"To tensors again[{split}]" >> beam.ParDo(
                    ToTransformInput(self.context, split, config)
                )
                flat[split] = self._transform(split, rows, config, transform_fn)
            graph, metadata = transform_fn
            # Where the disk is not shared the graph's URL is known, and the last step takes it from there.
            written = (
                graph
                if self.context.is_remote
                else transform_fn | "WriteTransformFn" >> tft_beam.WriteTransformFn(self.context.staging)
            )
        self._publish(pipeline, used, function, flat, metadata, written)
        return flat

    def _part_of_a_row(self) -> float:
        """Of the whole work, which is to analyse the rows of the first split and to transform those of all."""
        splits = self._step.split_names
        rows = self._examples.row_count([splits[0], *splits])
        return 1 / rows if rows else 0.0

    def _transforming(self) -> AbstractContextManager[Any]:
        if self.context.is_remote:
            return transform_elsewhere(joined(self.context.staging, TEMPORARY))
        temporary = str(self.context.folder / TEMPORARY)
        context: AbstractContextManager[Any] = tft_beam.Context(
            temp_dir=temporary, force_tf_compat_v1=False, use_deep_copy_optimization=True
        )
        return context

    def _transform(self, split: str, rows: beam.PCollection, config: Any, transform_fn: Any) -> beam.PCollection:
        transformed, metadata = ((rows, config), transform_fn) | f"Transform[{split}]" >> tft_beam.TransformDataset(
            output_record_batches=True
        )
        return transformed | f"Flatten[{split}]" >> beam.ParDo(
            FlattenRows(self.context), beam.pvalue.AsSingleton(metadata.deferred_metadata)
        )

    def _publish(
        self,
        pipeline: beam.Pipeline,
        used: schema_pb2.Schema,
        function: PreprocessingFunction | DefaultFeatures,
        flat: Mapping[str, beam.PCollection],
        metadata: Any,
        written: beam.PCollection,
    ) -> None:
        step, context = self._step, self.context
        roles = Roles(step.label, step.weight)
        part = self._part_of_a_row()
        parts = [
            rows | f"Write[{split}]" >> beam.ParDo(WritePart(context, split, roles, part))
            for split, rows in flat.items()
        ] | "Parts" >> beam.Flatten()
        once(
            pipeline,
            "Publish",
            context,
            _Publish(step, context, used, function, dict(metadata.asset_map)),
            beam.pvalue.AsSingleton(metadata.deferred_metadata),
            beam.pvalue.AsList(parts),
            beam.pvalue.AsList(written),
        )


class _Publish:
    """The last act: judge the label, name the files, write what describes them."""

    def __init__(
        self,
        step: PreprocessStep,
        context: Context,
        used: schema_pb2.Schema,
        function: PreprocessingFunction | DefaultFeatures,
        assets: dict[str, str],
    ) -> None:
        self._assets = assets
        self._label = step.label
        self._weight = step.weight
        self._splits = step.split_names
        self._context = context
        self._used = used
        default = function if isinstance(function, DefaultFeatures) else None
        self._classes = default.label.classes if default is not None and default.label is not None else None
        self._sizes = default.sizes() if default is not None else {}
        self._categories = default.categories() if default is not None else {}
        self._default = default is not None

    def __call__(self, metadata: dataset_metadata.DatasetMetadata, parts: list[Part], written: list[Any]) -> None:
        folder = self._context.folder
        if self._context.is_remote:
            write_transform_fn(folder, written[0], metadata, self._assets)
        described = describe(metadata.schema, folder, self._sizes)
        facts: dict[str, Any] = {"label": self._label, "weight": self._weight}
        facts.update(self._label_facts(described, label_summaries(self._splits, parts)))
        facts["splits"] = publish_parts(self._context.staged, self._splits, parts)
        facts.update(described)
        facts["categories"] = self._categories
        raw = dataset_metadata.DatasetMetadata(schema=self._used)
        metadata_io.write_metadata(raw, str(folder / tft.TFTransformOutput.RAW_METADATA_DIR))
        write_facts(folder, facts)
        self._context.staged.remove_folder(TEMPORARY)

    def _label_facts(self, described: Mapping[str, Any], summaries: Mapping[str, LabelSummary]) -> dict[str, Any]:
        if self._label is None:
            return {"task": None, "classes": None, "class_count": None, "class_counts": None}
        feature = described["features"][self._label]
        size = 1
        for dim in feature["shape"]:
            size *= dim
        label = Label(
            self._label,
            feature["dtype"],
            scalar=size == 1,
            classes=self._classes,
            vocabulary_size=described["vocabularies"].get(self._label),
            default=self._default,
        )
        return label_facts(label, summaries)
