"""Judged rows: label, weight and each model's prediction beside the slice columns; and how TFMA is fed with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.slicer import slicer_lib

from fluent_pipe.evaluation.config import BASELINE, CANDIDATE, Plan
from fluent_pipe.evaluation.slices import SliceKey, membership

LABEL = "__label__"
WEIGHT = "__weight__"
PREDICTION = {CANDIDATE: "__prediction__", BASELINE: "__baseline_prediction__"}

Values: TypeAlias = npt.NDArray[Any]


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


def extractor(plan: Plan) -> tfma.extractors.Extractor:
    """Judged batches to TFMA's extracts, one a row, with slice keys.

    It takes the place of TFMA's feature, label, weight, prediction, unbatch and slice key extractors, and says the
    same; slice keys are found a column at a time.
    """
    return tfma.extractors.Extractor(
        stage_name=tfma.extractors.SLICE_KEY_EXTRACTOR_STAGE_NAME, ptransform=beam.ParDo(_Rows(plan))
    )


class _Rows(beam.DoFn):  # type: ignore[misc]
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        batch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
        models = self._plan.models
        columns = {
            tfma.LABELS_KEY: dict.fromkeys(models, values(batch, LABEL)),
            tfma.PREDICTIONS_KEY: {m: values(batch, PREDICTION[m]) for m in models},
        }
        if self._plan.weight:
            columns[tfma.EXAMPLE_WEIGHTS_KEY] = dict.fromkeys(models, values(batch, WEIGHT))
        for row, keys in enumerate(_row_keys(batch, self._plan)):
            # As TFMA's own extractors: by model name when there are several models, bare when there is one.
            element: dict[str, Any] = {
                name: {m: v[row] for m, v in by_model.items()} if self._plan.baseline else by_model[CANDIDATE][row]
                for name, by_model in columns.items()
            }
            element[tfma.SLICE_KEY_TYPES_KEY] = slicer_lib.slice_keys_to_numpy_array(keys)
            yield element


def _row_keys(batch: pa.RecordBatch, plan: Plan) -> list[list[SliceKey]]:
    keys: list[list[SliceKey]] = [[] for _ in range(batch.num_rows)]
    for columns in plan.slices:
        members = membership(batch, columns)
        for row, code in zip(members.rows.tolist(), members.codes.tolist(), strict=True):
            keys[row].append(members.keys[code])
    return keys
