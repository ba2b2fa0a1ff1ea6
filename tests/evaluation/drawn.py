"""Rows for evaluations, drawn at random with what is apt to go wrong; every kind of trouble is a slice of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow_model_analysis as tfma
from hypothesis import strategies as st

from tests.evaluation.stock import Case

Random: TypeAlias = np.random.Generator
Values: TypeAlias = npt.NDArray[Any]

KINDS = ("grid", "buckets", "any", "one class", "same score", "fractional", "weightless", "outside", "both ends")

SLICES = (
    tfma.SlicingSpec(),
    tfma.SlicingSpec(feature_keys=["kind"]),
    tfma.SlicingSpec(feature_keys=["hour"]),
    tfma.SlicingSpec(feature_keys=["tags"]),
    tfma.SlicingSpec(feature_keys=["tags", "hour"]),
    tfma.SlicingSpec(feature_keys=["hour"], feature_values={"tags": "b"}),
    tfma.SlicingSpec(feature_values={"hour": "2", "half": "0.5"}),
    tfma.SlicingSpec(feature_values={"nobody has": "this"}),
    tfma.SlicingSpec(feature_keys=["half"]),
    tfma.SlicingSpec(feature_keys=["nothing"]),
)
FEW_SLICES = SLICES[:4]


# Labels, predictions and weights for rows of these kinds.
Make: TypeAlias = Callable[[Random, int, Values], tuple[Any, Any, Any]]


@st.composite
def cases(draw: st.DrawFn, make: Make, most: int = 60, without: tuple[str, ...] = ()) -> Case:
    """Rows by ``make`` of all kinds but ``without``."""
    # The first example that hypothesis tries is the simplest; many rows are worth more than one.
    rows = most - draw(st.integers(0, most - 1), label="rows fewer")
    seed = draw(st.integers(0, 2**32), label="seed")
    sizes = tuple(draw(st.lists(st.integers(1, most), max_size=4), label="rows of batches"))
    return case(make, rows, seed=seed, sizes=sizes, without=without)


def case(make: Make, rows: int, *, seed: int, sizes: tuple[int, ...] = (), without: tuple[str, ...] = ()) -> Case:
    """One case, the same for the same arguments."""
    random = np.random.default_rng(seed)
    kinds = random.choice([k for k in KINDS if k not in without], rows)
    labels, predictions, weight = make(random, rows, kinds)
    return Case(columns(random, kinds), labels, predictions, weight, sizes)


def columns(random: Random, kinds: Values) -> pa.Table:
    """Slice columns: flat and lists; text, integers and floats; with values missing, several, and repeated."""
    rows = len(kinds)
    hour = [None if h == 3 else int(h) for h in random.integers(0, 4, rows)]
    choices = [["b"], ["b", "7"], ["7", "b", "b"], [], None, ["é"]]
    tags = [choices[i] for i in random.integers(0, len(choices), rows)]
    half = [None if h == 2 else [h / 2] for h in random.integers(0, 3, rows)]
    return pa.table(
        {
            "kind": pa.array(kinds.tolist(), pa.string()),
            "hour": pa.array(hour, pa.int64()),
            "tags": pa.array(tags, pa.list_(pa.string())),
            "half": pa.array(half, pa.list_(pa.float32())),
            "nothing": pa.array([None] * rows, pa.int64()),
            "query": pa.array([f"q{q}" for q in random.integers(0, 4, rows)]),
            "gain": pa.array(random.integers(0, 3, rows).astype(np.float32)),
        }
    )


def shaped(random: Random, values: Values) -> Values:
    """One number a row, as ``[rows]`` or ``[rows, 1]``."""
    return values.reshape(-1, 1) if random.random() < 0.5 else values


def weights(random: Random, kinds: Values) -> Values:
    """Whole, fractional and zero weights."""
    drawn = random.choice([0.0, 0.25, 1.0, 2.5], len(kinds)).astype(np.float32)
    drawn[kinds == "weightless"] = 0.0
    return shaped(random, drawn)


def scores(random: Random, kinds: Values) -> Values:
    """Probabilities of one class, and some that are none."""
    rows = len(kinds)
    # The borders of TFMA's 10,000 buckets, as float32 has them, and the numbers beside them.
    borders = (random.integers(0, 10001, rows) / 10000).astype(np.float32)
    beside = random.choice([-1.0, 0.5, 2.0], rows).astype(np.float32)
    nudged = np.where(beside == 0.5, borders, np.nextafter(borders, beside))
    found = random.random(rows).astype(np.float32)
    for kind, drawn in {
        "grid": random.integers(0, 9, rows) / 8,
        "buckets": np.clip(nudged, 0, 1),
        "same score": np.full(rows, random.choice([0.0, 0.3, 0.5, 1.0])),
        "outside": random.integers(-8, 17, rows) / 8,
        "both ends": random.integers(0, 2, rows),
    }.items():
        found = np.where(kinds == kind, drawn, found).astype(np.float32)
    return found


def binary(random: Random, rows: int, kinds: Values) -> tuple[Any, Any, Any]:
    """Labels 0 and 1, some of them shares."""
    labels = random.integers(0, 2, rows).astype(np.float32)
    labels[kinds == "one class"] = random.integers(0, 2)
    if random.random() < 0.5:
        labels = np.where(kinds == "fractional", random.integers(0, 5, rows) / 4, labels).astype(np.float32)
    else:
        labels = labels.astype(random.choice([np.float32, np.int64]))
    dtype = random.choice([np.float32, np.float64])
    return shaped(random, labels), shaped(random, scores(random, kinds).astype(dtype)), weights(random, kinds)


def unweighted(make: Make) -> Make:
    """The same without weights."""
    return lambda random, rows, kinds: (*make(random, rows, kinds)[:2], None)


def regression(random: Random, rows: int, kinds: Values) -> tuple[Any, Any, Any]:
    """Numbers of any sign, zeros among the labels."""
    labels = random.integers(-6, 7, rows) / 2
    labels[kinds == "one class"] = 2.0
    predictions = random.integers(-64, 65, rows) / 16 + (kinds == "any") * random.random(rows)
    predictions[kinds == "same score"] = 1.25
    predictions[kinds == "both ends"] = labels[kinds == "both ends"]
    predictions = np.round(predictions * 1024) / 1024
    return (
        shaped(random, labels.astype(np.float32)),
        shaped(random, predictions.astype(np.float32)),
        weights(random, kinds),
    )


def positive(make: Make) -> Make:
    """The same without signs, for logarithms."""

    def made(random: Random, rows: int, kinds: Values) -> tuple[Any, Any, Any]:
        labels, predictions, weight = make(random, rows, kinds)
        return np.abs(labels), np.abs(predictions), weight

    return made


CLASSES = 4


def _shares(random: Random, rows: int, kinds: Values) -> Values:
    """Sixteenths that add up to exactly 1, so that nobody's rounding matters; ties are frequent."""
    cuts = np.sort(random.integers(0, 17, (rows, CLASSES - 1)), axis=1)
    parts = np.diff(np.concatenate([np.zeros((rows, 1)), cuts, np.full((rows, 1), 16)], axis=1), axis=1) / 16
    parts[kinds == "same score"] = 0.25
    ends = np.eye(CLASSES)[random.integers(0, CLASSES, rows)]
    parts = np.where((kinds == "both ends")[:, None], ends, parts)
    return parts.astype(random.choice([np.float32, np.float64]))


def sparse(random: Random, rows: int, kinds: Values) -> tuple[Any, Any, Any]:
    """Class numbers."""
    labels = random.integers(0, CLASSES, rows)
    labels[kinds == "one class"] = 1
    labels = labels.astype(random.choice([np.int64, np.int32, np.float32]))
    return shaped(random, labels), _shares(random, rows, kinds), weights(random, kinds)


def one_hot(random: Random, rows: int, kinds: Values) -> tuple[Any, Any, Any]:
    """A column a class."""
    labels = np.eye(CLASSES, dtype=np.float32)[random.integers(0, CLASSES, rows)]
    labels[kinds == "one class"] = np.eye(CLASSES)[1]
    return labels, _shares(random, rows, kinds), weights(random, kinds)


def by_model(
    make: Make,
    *names: str,
    keyed: bool | None = None,
) -> Make:
    """Predictions of several models; labels and weights by model too, or for all; ``keyed`` says which."""

    def made(random: Random, rows: int, kinds: Values) -> tuple[Any, Any, Any]:
        labels, predictions, weight = make(random, rows, kinds)
        others = {name: make(random, rows, kinds)[1].reshape(predictions.shape) for name in names[1:]}
        answers = {names[0]: predictions, **{k: v.astype(predictions.dtype) for k, v in others.items()}}
        if keyed if keyed is not None else random.random() < 0.5:
            return dict.fromkeys(names, labels), answers, None if weight is None else dict.fromkeys(names, weight)
        return labels, answers, weight

    return made


def by_output(random: Random, rows: int, kinds: Values) -> tuple[Any, Any, Any]:
    """Two outputs with labels and weights of their own."""
    made = {name: binary(random, rows, kinds) for name in ("late", "cancelled")}
    labels, predictions, weight = ({name: values[i] for name, values in made.items()} for i in range(3))
    return labels, predictions, weight
