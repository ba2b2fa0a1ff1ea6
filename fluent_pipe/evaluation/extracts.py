"""Judged rows: label, weight and each model's prediction beside the slice columns; and how TFMA is fed with them."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.utils import util

from fluent_pipe.arrow.arrays import Values
from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.evaluation.config import BASELINE, CANDIDATE, Plan
from fluent_pipe.evaluation.discovery import row_loss

LABEL = "__label__"
WEIGHT = "__weight__"
PREDICTION = {CANDIDATE: "__prediction__", BASELINE: "__baseline_prediction__"}


def judged(
    label: Values, weight: Values | None, predictions: dict[str, Values], slice_columns: dict[str, pa.Array]
) -> pa.RecordBatch:
    """A judged batch.

    Parameters
    ----------
    label
        Shape [rows].
    weight
        Shape [rows], or None.
    predictions
        By model: shape [rows], or [rows, classes].
    slice_columns
        By name, as in the input.
    """
    columns: dict[str, pa.Array] = {**slice_columns, LABEL: pa.array(label)}
    if weight is not None:
        columns[WEIGHT] = pa.array(weight)
    for model, values in predictions.items():
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        wide = values.ndim > 1
        columns[PREDICTION[model]] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if wide else flat
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def values(batch: pa.RecordBatch, name: str) -> Values:
    """A label, weight or prediction column of a judged batch: shape [rows, 1], or [rows, classes]."""
    column = batch.column(batch.schema.get_field_index(name))
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    result: Values = flat.to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1)
    return result


def losses(batch: pa.RecordBatch, plan: Plan) -> tuple[pa.RecordBatch, Values, Values | None]:
    """Slice columns, what the candidate lost and the weight of each row: what the search for slices adds up."""
    names = [cut.column for cut in plan.search.cuts] if plan.search else []
    columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
    loss = row_loss(values(batch, LABEL), values(batch, PREDICTION[CANDIDATE]), task=plan.task)
    weight = values(batch, WEIGHT)[:, 0] if plan.weight else None
    return pa.RecordBatch.from_arrays(columns, names=names), loss, weight


def _input(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of a judged batch that come from the input."""
    names = [name for name in batch.schema.names if name not in (LABEL, WEIGHT, *PREDICTION.values())]
    return pa.RecordBatch.from_arrays([batch.column(batch.schema.get_field_index(n)) for n in names], names=names)


def extractor(plan: Plan) -> tfma.extractors.Extractor:
    """Judged batches to TFMA's extracts, still in batches.

    It takes the place of TFMA's feature, label, weight and prediction extractors, and says the same.
    """
    return tfma.extractors.Extractor(stage_name="JudgedBatches", ptransform=beam.Map(_extracts, plan))


def _extracts(extracts: dict[str, Any], plan: Plan) -> dict[str, Any]:
    batch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    predictions = {model: values(batch, PREDICTION[model]) for model in plan.models}
    features = util.record_batch_to_tensor_values(to_tfx(_input(batch))) if plan.needs_features else None
    return {
        **({} if features is None else {tfma.FEATURES_KEY: features}),
        tfma.ARROW_RECORD_BATCH_KEY: batch,
        tfma.LABELS_KEY: values(batch, LABEL),
        # As TFMA's own extractors: by model name when there are several models, bare when there is one.
        tfma.PREDICTIONS_KEY: predictions if plan.baseline else predictions[CANDIDATE],
        **({tfma.EXAMPLE_WEIGHTS_KEY: values(batch, WEIGHT)} if plan.weight else {}),
    }
