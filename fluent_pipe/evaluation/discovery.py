"""Slices on which a model is significantly worse than on all other rows.

The search is that of Slice Finder (Chung, Kraska, Polyzotis, Tae and Whang: "Slice Finder: Automated Data Slicing for
Model Validation", ICDE 2019). A slice is compared with its counterpart, the rows outside of it: by its effect size,
which says whether the difference of their mean losses matters, and by a one-sided Welch's t-test, which says whether
it could be chance. Slices go from one column to crosses of columns, and subsets of a slice that is reported are not.

One thing differs. Slice Finder tests slices one after the other and controls false discoveries by alpha-investing,
whose answer depends on that order. Here all slices of a run, of every depth, are tested, and their p-values are
corrected together by the procedure of Benjamini and Yekutieli ("The control of the false discovery rate in multiple
testing under dependency", Annals of Statistics, 2001). It holds under any dependence of the tests, which is needed as
slices overlap. Of the slices that pass, those with a small effect and the subsets of others are then left out.

A higher loss does not say why: the model may be wrong there, or the rows harder to predict by any model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from fluent_pipe.arrow.arrays import Floats, Values
from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.loss_sums import LOSS, ROWS, SQUARED_LOSS, SQUARED_WEIGHT, WEIGHT, Sums
from fluent_pipe.evaluation.slices import SliceKey

_SMALLEST_PROBABILITY = 1e-7
_FEWEST_ROWS = 100


@dataclass(frozen=True)
class Found:
    """A slice on which the model is worse.

    Parameters
    ----------
    slice
        Column to value, columns in alphabetical order.
    rows
        Rows in the slice whose weight is not 0.
    loss, loss_elsewhere
        Weighted mean loss of the slice's rows, and of all others.
    difference
        ``loss - loss_elsewhere``.
    interval
        Confidence interval of the difference: Welch's, two-sided, for this slice alone.
    effect_size
        ``sqrt(2) * difference / sqrt(variance + variance elsewhere)``: the difference in standard deviations.
    p_value
        Of Welch's t-test against "not worse", for this slice alone.
    p_adjusted
        The same, corrected for all slices that were tested.
    """

    slice: dict[str, Any]
    rows: int
    loss: float
    loss_elsewhere: float
    difference: float
    interval: tuple[float, float]
    effect_size: float
    p_value: float
    p_adjusted: float


def row_loss(label: Values, prediction: Values, *, task: str) -> Floats:
    """What the model lost on each row, in the measure that it was most likely trained on.

    Parameters
    ----------
    label
        Shape [rows]. Binary: 0 and 1, or shares between. Multi-class: the number of the class.
    prediction
        Shape [rows], or [rows, classes] for multi-class. Probabilities are clipped at 1e-7, as Keras does.
    task
        ``"binary"``: log loss. ``"multiclass"``: minus the log of the label's probability. ``"regression"``: squared
        error.

    Returns
    -------
    array of float64, shape [rows]

    Raises
    ------
    EvaluationError
        If a multi-class label is not among the classes.

    Examples
    --------
    >>> row_loss(np.array([1, 0]), np.array([0.5, 0.25]), task="binary").round(3).tolist()
    [0.693, 0.288]
    """
    loss: Floats
    if task == "multiclass":
        probability = _of_label(label.reshape(-1).astype(np.int64), prediction)
        loss = -np.log(np.clip(probability, _SMALLEST_PROBABILITY, 1.0))
    else:
        truth, answer = (values.reshape(-1).astype(np.float64) for values in (label, prediction))
        if task == "regression":
            loss = np.square(answer - truth)
        else:
            answer = np.clip(answer, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
            loss = -(truth * np.log(answer) + (1 - truth) * np.log1p(-answer))
    return loss


def _of_label(label: Values, prediction: Values) -> Floats:
    known = (label >= 0) & (label < prediction.shape[1])
    if not known.all():
        raise EvaluationError(
            f"Label {label[~known][0]} is not among the {prediction.shape[1]} classes that the model predicts."
        )
    probability: Floats = prediction[np.arange(len(label)), label].astype(np.float64)
    return probability


def worse(
    sums: Sums, *, at_least: int | None = None, effect_size: float = 0.2, confidence: float = 0.95
) -> list[Found]:
    """Slices on which the model is worse, the worst first: by the lower end of the interval of the difference.

    Parameters
    ----------
    sums
        Of the whole split.
    at_least
        Fewest rows of a slice, and of the rows outside of it, that are tested; with weights, the effective number
        ``sum(w)**2 / sum(w**2)`` counts. Default: 1% of the rows, but no fewer than 100. Losses are skewed, and the
        t-test takes their means for normal, which those of fewer rows are not.
    effect_size
        Smallest effect size that is reported. 0.2 is small, 0.5 medium and 0.8 large (Cohen: "Statistical Power
        Analysis for the Behavioral Sciences", 1988).
    confidence
        Of the intervals; and no more than ``1 - confidence`` of the discoveries are expected to be false.
    """
    if at_least is None:
        at_least = max(_FEWEST_ROWS, math.ceil(sums.overall[ROWS] / 100))
    # Fewer columns first, and one order whatever the order of the rows was.
    names = sorted(sums.tables, key=lambda columns: (len(columns), columns))
    starts = np.cumsum([0, *(len(sums.tables[n].keys) for n in names)])
    slices = np.concatenate([np.zeros((5, 0)), *(sums.tables[n].sums for n in names)], axis=1)
    tested = np.flatnonzero(_testable(slices, at_least) & _testable(sums.overall[:, None] - slices, at_least))
    if not len(tested):
        return []
    test = _welch(slices[:, tested], sums.overall, confidence)
    adjusted = stats.false_discovery_control(test.p_value, method="by")
    found: dict[SliceKey, Found] = {}
    for chosen in np.flatnonzero((adjusted <= 1 - confidence) & (test.effect_size >= effect_size)):
        table = int(np.searchsorted(starts, tested[chosen], side="right")) - 1
        key = sums.slice_key(names[table], int(sums.tables[names[table]].keys[tested[chosen] - starts[table]]))
        if not any(larger in found for larger in _supersets(key)):
            found[key] = _found(key, test, int(chosen), float(adjusted[chosen]))
    return sorted(found.values(), key=lambda f: (-f.interval[0], len(f.slice), str(f.slice)))


@dataclass(frozen=True)
class _Welch:
    """Welch's t-tests, one a slice: arrays of shape [slices]."""

    rows: Floats
    loss: Floats
    loss_elsewhere: Floats
    low: Floats
    high: Floats
    effect_size: Floats
    p_value: Floats


def _welch(slices: Floats, overall: Floats, confidence: float) -> _Welch:
    size, loss, variance = _moments(slices, overall)
    size_elsewhere, loss_elsewhere, variance_elsewhere = _moments(overall[:, None] - slices, overall)
    difference = loss - loss_elsewhere
    squared_error = variance / size + variance_elsewhere / size_elsewhere
    error = np.sqrt(squared_error)
    part = variance / size / squared_error
    degrees = 1 / (part**2 / (size - 1) + (1 - part) ** 2 / (size_elsewhere - 1))
    margin = stats.t.ppf((1 + confidence) / 2, degrees) * error
    return _Welch(
        rows=slices[ROWS],
        loss=loss,
        loss_elsewhere=loss_elsewhere,
        low=difference - margin,
        high=difference + margin,
        effect_size=math.sqrt(2) * difference / np.sqrt(variance + variance_elsewhere),
        p_value=stats.t.sf(difference / error, degrees),
    )


def _testable(sums: Floats, at_least: int) -> npt.NDArray[np.bool_]:
    """Whether a slice has enough effective rows; two is the fewest that have a variance."""
    # Where subtracting leaves no rows, rounding may leave some weight.
    filled = (sums[ROWS] > 0) & (sums[WEIGHT] > 0) & (sums[SQUARED_WEIGHT] > 0)
    effective = np.divide(sums[WEIGHT] ** 2, sums[SQUARED_WEIGHT], out=np.zeros(sums.shape[1]), where=filled)
    # Equal weights of 0.1 make 99.99999 effective rows of 100.
    enough: npt.NDArray[np.bool_] = np.minimum(effective, sums[ROWS]) >= max(at_least, 2) * (1 - 1e-9)
    return enough


def _moments(sums: Floats, overall: Floats) -> tuple[Floats, Floats, Floats]:
    """Effective rows, weighted mean and unbiased variance of the loss."""
    size = sums[WEIGHT] ** 2 / sums[SQUARED_WEIGHT]
    mean = sums[LOSS] / sums[WEIGHT]
    variance = (sums[SQUARED_LOSS] / sums[WEIGHT] - mean**2) * size / (size - 1)
    # A variance below what rounding leaves of the sums is noise, and would make a difference that is noise significant.
    noise = np.finfo(np.float64).eps * overall[SQUARED_LOSS] / sums[WEIGHT]
    return size, mean, np.maximum(variance, np.maximum(noise, np.finfo(np.float64).tiny))


def _supersets(key: SliceKey) -> Iterator[SliceKey]:
    return itertools.chain.from_iterable(itertools.combinations(key, size) for size in range(1, len(key)))


def _found(key: SliceKey, test: _Welch, place: int, p_adjusted: float) -> Found:
    loss, elsewhere = float(test.loss[place]), float(test.loss_elsewhere[place])
    return Found(
        slice=dict(key),
        rows=int(test.rows[place]),
        loss=loss,
        loss_elsewhere=elsewhere,
        difference=loss - elsewhere,
        interval=(float(test.low[place]), float(test.high[place])),
        effect_size=float(test.effect_size[place]),
        p_value=float(test.p_value[place]),
        p_adjusted=p_adjusted,
    )
