"""Predictions for whole batches as columns; rows that a model cannot answer are found and told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from fluent_pipe.errors import InputError, Interrupted

PREDICTION = "prediction"
PROBABILITY = "probability"
PROBABILITIES = "probabilities"
OUTPUTS = (PREDICTION, PROBABILITY, PROBABILITIES)

Values: TypeAlias = np.ndarray[Any, Any]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Predict = Callable[[pa.RecordBatch], Values]


@dataclass(frozen=True)
class Outputs:
    """Names what a model predicts.

    Parameters
    ----------
    task
        ``"binary"``, ``"multiclass"``, ``"regression"``, or None where it is not known.
    classes
        Names of the classes in the order of the model's outputs; None where they are numbers.
    """

    task: str | None = None
    classes: tuple[Any, ...] | None = None

    def columns(self, predictions: Values) -> dict[str, pa.Array]:
        """Predictions as columns.

        Parameters
        ----------
        predictions
            ``[rows]``, or ``[rows, width]``.

        Returns
        -------
        dict of str to pa.Array
            ``prediction``: the probability of the second class of two, the value of a regression, or the likeliest
            class of several, whose ``probability`` and whose and the others' ``probabilities`` then follow. What is
            none of these is a list in ``prediction``.
        """
        flat = predictions.reshape(len(predictions), -1)
        width = flat.shape[1]
        if self.task == "binary" and width == 2:
            flat, width = flat[:, 1:], 1
        if width == 1:
            return {PREDICTION: _array(flat[:, 0])}
        if self.task != "multiclass":
            return {PREDICTION: _lists(flat)}
        best = flat.argmax(axis=1)
        classes = pa.array(self.classes) if self.classes and len(self.classes) == width else None
        return {
            PREDICTION: pa.array(best.astype(np.int64)) if classes is None else classes.take(pa.array(best)),
            PROBABILITY: _array(flat[np.arange(len(flat)), best]),
            PROBABILITIES: _lists(flat),
        }


def score(
    predict: Predict, batch: pa.RecordBatch, outputs: Outputs, aside: Callable[[int, str], None]
) -> tuple[dict[str, pa.Array] | None, Mask]:
    """Predictions for the rows of a batch, and for which rows they are.

    Where the model raises, the batch is halved until the rows that it raises for are alone: for one such row, about
    two batches more are predicted. A prediction that is NaN or infinite is none.

    Parameters
    ----------
    predict
        Answers ``[rows, ...]`` for a batch, or raises.
    aside
        Called with the place and the reason of each row that has no prediction, as soon as that is known; ends the
        scoring by raising.

    Returns
    -------
    tuple of dict and np.ndarray
        Columns of predictions for the rows that have one, in order, or None if none has; and ``[rows]``, True for
        those that have.
    """
    parts: list[Values] = []
    good = np.ones(batch.num_rows, np.bool_)
    for begin, answer in _answers(predict, batch, 0):
        if isinstance(answer, str):
            good[begin] = False
            aside(begin, answer)
            continue
        usable = _usable(answer)
        good[begin : begin + len(answer)] = usable
        for row in np.flatnonzero(~usable).tolist():
            aside(begin + row, _NOT_A_NUMBER)
        parts.append(answer[usable])
    predictions = np.concatenate(parts) if parts else np.zeros(0)
    return (outputs.columns(predictions) if len(predictions) else None), good


_NOT_A_NUMBER = "the prediction is not a number (NaN or infinite)"


def _answers(predict: Predict, batch: pa.RecordBatch, begin: int) -> Iterator[tuple[int, Values | str]]:
    try:
        answer = np.asarray(predict(batch))
    except Interrupted:
        raise
    except Exception as error:  # a model raises what it likes
        if batch.num_rows == 1:
            yield begin, reason(error)
            return
        half = batch.num_rows // 2
        yield from _answers(predict, batch.slice(0, half), begin)
        yield from _answers(predict, batch.slice(half), begin + half)
        return
    if answer.dtype.name in ("float16", "bfloat16"):
        answer = answer.astype(np.float32)
    if answer.shape[:1] != (batch.num_rows,):
        raise InputError(
            f"The model gives predictions of shape {list(answer.shape)} for {batch.num_rows} rows.",
            fix="Bulk inference needs one prediction a row: give the model an output that begins with the batch.",
        )
    yield begin, answer


def reason(error: Exception) -> str:
    """What an error says, in one line; of TensorFlow's, the line that tells."""
    said = str(getattr(error, "message", "") or error)
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.strip().startswith("[[")]
    return lines[-1] if lines else type(error).__name__


def _usable(answer: Values) -> Mask:
    if answer.dtype.kind != "f":
        return np.ones(len(answer), np.bool_)
    usable: Mask = np.isfinite(answer).reshape(len(answer), -1).all(axis=1)
    return usable


def _array(values: Values) -> pa.Array:
    if values.dtype != object:
        return pa.array(np.ascontiguousarray(values))
    raw = pa.array(values.tolist(), pa.binary())
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        return raw


def _lists(values: Values) -> pa.Array:
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), _array(values.reshape(-1)))
