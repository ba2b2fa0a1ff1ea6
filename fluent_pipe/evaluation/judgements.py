"""Labels, predictions and weights of a batch, as one metric computation wants them.

What TFMA does for one row at a time in ``metric_util.to_label_prediction_example_weight``, for a whole batch: choosing
model and output, binarization (``class_id``, ``k``, ``top_k``), one-hot labels, class weights, fractional labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_util

from fluent_pipe.arrow.arrays import Floats, Integers, Values
from fluent_pipe.errors import EvaluationError


@dataclass(frozen=True)
class Wanted:
    """What a computation reads.

    Parameters
    ----------
    model, output
        Names; empty where there is only one.
    label_key, prediction_key
        Of the model, for labels and predictions that are mappings.
    sub_key
        Binarization.
    aggregated
        Whether classes are aggregated: then ``top_k`` leaves the top classes alone, instead of hiding the others.
    weighted
        Whether example weights count.
    """

    model: str = ""
    output: str = ""
    label_key: str = ""
    prediction_key: str = ""
    sub_key: tfma.metrics.SubKey | None = None
    aggregated: bool = False
    weighted: bool = False


@dataclass(frozen=True)
class Judgements:
    """Rows of a batch: label ``[rows, 1 or classes]``, prediction ``[rows, classes]``, weight ``[rows, 1 or classes]``.

    Labels of one column beside predictions of several are class indices.
    """

    label: Values
    prediction: Values
    weight: Floats

    @property
    def sparse(self) -> bool:
        """Whether labels are class indices."""
        return self.label.shape[1] != self.prediction.shape[1]

    def dense_label(self) -> Values:
        """Labels as wide as the predictions: class indices become one-hot; -1 is no class."""
        return one_hot(self.label, self.prediction.shape[1]) if self.sparse else self.label


@dataclass(frozen=True)
class Pairs:
    """One label, prediction and weight each; ``rows`` says of which row of the batch."""

    rows: Integers
    label: Floats
    prediction: Floats
    weight: Floats


def judgements(extracts: Mapping[str, Any], wanted: Wanted) -> Judgements:
    """What ``wanted`` reads in a batch of TFMA's extracts.

    Raises
    ------
    EvaluationError
        If there is no such model, output or class, or a shape is not ``[rows]`` or ``[rows, classes]``.
    """
    label, prediction = metric_util.prepare_labels_and_predictions(
        _of_output(_keyed(extracts.get(tfma.LABELS_KEY), wanted.label_key), wanted),
        _of_output(extracts.get(tfma.PREDICTIONS_KEY), wanted, required=True),
        wanted.prediction_key,
    )
    found = Judgements(
        label=_table(label, "labels"),
        prediction=_table(prediction, "predictions"),
        weight=weights(extracts, wanted, rows=len(prediction)),
    )
    return _binarized(found, wanted)


def weights(extracts: Mapping[str, Any], wanted: Wanted, *, rows: int) -> Floats:
    """Example weights ``[rows, 1 or classes]``; 1 where they do not count."""
    given = extracts.get(tfma.EXAMPLE_WEIGHTS_KEY) if wanted.weighted else None
    given = None if given is None else _of_output(given, wanted)
    if given is None:
        return np.ones((rows, 1))
    return _table(given, "example weights").astype(np.float64)


def pairs(found: Judgements, *, class_weights: Mapping[int, float] | None = None, fractional: bool = False) -> Pairs:
    """Every label beside its prediction.

    Parameters
    ----------
    class_weights
        By class index; a class without one weighs 0.
    fractional
        Split labels between 0 and 1 into a negative and a positive part, and leave out what weighs nothing.

    Raises
    ------
    EvaluationError
        If ``fractional`` and a label lies outside of 0 to 1.
    """
    rows, classes = found.prediction.shape
    weight = np.broadcast_to(found.weight, (rows, classes)) if found.weight.shape[1] == 1 else found.weight
    if weight.shape[1] != classes:
        raise EvaluationError(f"There are {weight.shape[1]} example weights for {classes} predictions a row.")
    if class_weights:
        weight = weight * np.array([class_weights.get(index, 0.0) for index in range(classes)])
    flat = Pairs(
        rows=np.repeat(np.arange(rows), classes),
        label=found.dense_label().astype(np.float64).reshape(-1),
        prediction=found.prediction.astype(np.float64).reshape(-1),
        weight=weight.reshape(-1),
    )
    return _fractional(flat) if fractional else flat


def _fractional(found: Pairs) -> Pairs:
    outside = ~((found.label >= 0) & (found.label <= 1))
    if outside.any():
        raise EvaluationError(
            f"A label is {found.label[outside][0]:g}; this metric needs labels from 0 to 1.",
            fix="Use metrics for regression, or a label of classes.",
        )
    parts = []
    for positive, share in ((0.0, 1 - found.label), (1.0, found.label)):
        weight = found.weight * share
        counts = weight != 0
        parts.append((found.rows[counts], np.full(counts.sum(), positive), found.prediction[counts], weight[counts]))
    return Pairs(*(np.concatenate(both) for both in zip(*parts, strict=True)))


def one_hot(label: Values, classes: int) -> Floats:
    """Class indices ``[rows, 1]`` as ``[rows, classes]`` of 0 and 1; -1 is no class.

    Raises
    ------
    EvaluationError
        If an index is beyond the classes.
    """
    if label.shape[1] != 1:
        raise EvaluationError(f"There are {label.shape[1]} labels for {classes} predictions a row.")
    index = label[:, 0].astype(np.int64)
    if index.size and (index.max() > classes or index.min() < -1):
        raise EvaluationError(
            f"A label is class {index.max() if index.max() > classes else index.min()}; "
            f"the predictions have classes 0 to {classes - 1}."
        )
    return np.equal(index[:, None], np.arange(classes)[None, :]).astype(np.float64)


def _binarized(found: Judgements, wanted: Wanted) -> Judgements:
    key = wanted.sub_key
    if key is None:
        return found
    if key.k is not None:
        return _selected(found, _largest(found.prediction, key.k)[:, :1])
    if key.top_k is not None:
        top = _largest(found.prediction, key.top_k)
        if wanted.aggregated:
            found = _selected(found, top)
        else:
            hidden = np.full(found.prediction.shape, -np.inf)
            np.put_along_axis(hidden, top, np.take_along_axis(found.prediction, top, axis=1), axis=1)
            found = Judgements(found.label, hidden, found.weight)
    return found if key.class_id is None else _of_class(found, key.class_id)


def _largest(prediction: Values, count: int) -> Integers:
    """Columns of the largest values of each row, the smallest of them first; the very order that TFMA gets."""
    if prediction.shape[1] < count:
        raise EvaluationError(f"The top {count} predictions were asked for, and there are {prediction.shape[1]} a row.")
    return np.argpartition(prediction, -count, axis=-1)[:, -count:]


def _selected(found: Judgements, columns: Integers) -> Judgements:
    label = np.take_along_axis(found.dense_label(), columns, axis=1)
    return Judgements(label, np.take_along_axis(found.prediction, columns, axis=1), found.weight)


def _of_class(found: Judgements, index: int) -> Judgements:
    if not 0 <= index < found.prediction.shape[1]:
        raise EvaluationError(
            f"Class {index} was asked for; the predictions have classes 0 to {found.prediction.shape[1] - 1}."
        )
    label = (found.label.astype(np.int64) == index) if found.sparse else found.label[:, index : index + 1]
    return Judgements(label.astype(np.float64), found.prediction[:, index : index + 1], found.weight)


def _keyed(value: Any, key: str) -> Any:
    return value[key] if isinstance(value, Mapping) and key in value else value


def _of_output(value: Any, wanted: Wanted, *, required: bool = False) -> Any:
    """Down to one model and output. Labels and weights need not be kept apart by these; predictions are."""
    for what, name in (("model", wanted.model), ("output", wanted.output)):
        if name and isinstance(value, Mapping):
            if required and name not in value:
                raise EvaluationError(f"There are no predictions of {what} {name!r}.", got=name, valid=value)
            value = _keyed(value, name)
    return value


def _table(value: Any, what: str) -> Values:
    if isinstance(value, Mapping):
        raise EvaluationError(f"There are {what} by name, and none was chosen.", valid=value)
    array = np.asarray(value)
    table = array[:, None] if array.ndim == 1 else array
    if table.ndim != 2 or table.dtype.kind not in "biuf":
        raise EvaluationError(
            f"The {what} have shape {list(array.shape)} and type {array.dtype}; "
            "one number a row is needed, or one a row and class.",
        )
    return table
