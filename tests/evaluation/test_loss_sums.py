"""Losses summed up by slice: the same whatever the batches."""

from __future__ import annotations

import math
import pickle

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.discovery import worse
from fluent_pipe.evaluation.loss_sums import LossSums, Sums
from tests.beam_jobs import job
from tests.evaluation.losses import Columns, as_found, planted, slices_by_hand, summed


@given(st.integers(0, 2**32), st.integers(1, 7), st.booleans())
@settings(max_examples=25, deadline=None)
def test_batches_and_their_order_do_not_matter(seed: int, batches: int, weighted: bool) -> None:
    columns, loss = planted(600, seed)
    random = np.random.default_rng(seed)
    weight = random.integers(0, 4, 600).astype(float) if weighted else None
    order = random.permutation(600)
    shuffled = {name: [values[i] for i in order] for name, values in columns.items()}
    one = summed(columns, loss, weight)
    many = summed(shuffled, loss[order], None if weight is None else weight[order], batches=batches)
    assert [vars(f) for f in worse(many, at_least=20)] == [
        {**vars(f), **{n: pytest.approx(v, rel=1e-9, abs=1e-15) for n, v in vars(f).items() if n != "slice"}}
        for f in worse(one, at_least=20)
    ]


def test_merging_is_associative_and_leaves_what_was_merged() -> None:
    columns, loss = planted(900)
    batch = pa.RecordBatch.from_pydict(columns)
    combine = LossSums()
    first, second, third = (
        combine.add_input(combine.create_accumulator(), (batch.slice(start, 300), loss[start : start + 300], None))
        for start in (0, 300, 600)
    )
    before = pickle.dumps(first)
    left = combine.merge_accumulators([combine.merge_accumulators([first, second]), third])
    right = combine.merge_accumulators(
        [first, combine.merge_accumulators([third, second]), combine.create_accumulator()]
    )
    assert as_found(left) == as_found(right)
    assert pickle.dumps(first) == before


def test_in_a_beam_pipeline() -> None:
    columns, loss = planted(900)
    batch = pa.RecordBatch.from_pydict(columns)
    expected = as_found(summed(columns, loss))

    def check(sums: list[Sums]) -> None:
        assert [as_found(s) for s in sums] == [expected]

    with job() as pipeline:
        batches = (
            pipeline | beam.Create([0, 300, 600]) | beam.Map(lambda s: (batch.slice(s, 300), loss[s:][:300], None))
        )
        assert_that(batches | beam.CombineGlobally(LossSums()), check)


def test_memory_grows_with_slices_not_with_rows() -> None:
    small, large = (len(pickle.dumps(summed(*planted(rows), batches=3))) for rows in (2000, 20_000))
    assert large == pytest.approx(small, rel=0.01)


def test_values_keep_their_kinds() -> None:
    kinds: Columns = {
        "boolean": [True, False],
        "bytes": [b"a", b"\xff"],
        "category": pa.array(["x", "y"]).dictionary_encode(),
        "float": [0.5, 1.5],
        "integer": [1, 2],
        "text": ["a", "Ünité"],
    }
    columns = {
        name: (values if isinstance(values, pa.Array) else pa.array(values)).take(pa.array([0, 1] * 200))
        for name, values in kinds.items()
    }
    found = worse(summed(columns, np.array([0.0, 1.0] * 200), depth=1))
    values = {name: value for f in found for name, value in f.slice.items()}
    assert values == {"boolean": 0, "bytes": "�", "category": "y", "float": 1.5, "integer": 2, "text": "Ünité"}
    assert {name: type(value) for name, value in values.items()} == {
        "boolean": int, "bytes": str, "category": str, "float": float, "integer": int, "text": str,
    }  # fmt: skip


def test_crosses_of_many_values_are_the_same_as_of_few() -> None:
    # A thousand values each: too many cells to count in place.
    random = np.random.default_rng(0)
    columns = {name: random.integers(0, 1000, 2000).tolist() for name in "ab"}
    for values in columns.values():
        values[:200] = [7] * 200
    loss = random.exponential(size=2000) + (np.arange(2000) < 200) * 3.0
    found = worse(summed(columns, loss, batches=4), at_least=150, effect_size=0.1)
    assert {tuple(f.slice.items()) for f in found} == {(("a", 7),), (("b", 7),)}
    sums = summed(columns, loss, batches=3)
    by_hand = slices_by_hand(columns, 2)
    table = sums.tables["a", "b"]
    assert {sums.slice_key(("a", "b"), k): s for k, s in zip(table.keys.tolist(), table.sums[3], strict=True)} == {
        key: pytest.approx(loss[rows].sum()) for key, rows in by_hand.items() if len(key) == 2
    }


@pytest.mark.parametrize(
    ("loss", "weight"), [([math.nan], None), ([math.inf], None), ([1.0], [-1.0]), ([1.0], [math.nan])]
)
def test_what_cannot_be_summed_is_an_error(loss: list[float], weight: list[float] | None) -> None:
    with pytest.raises(EvaluationError, match="of 1 rows"):
        summed({"month": [1]}, np.array(loss), None if weight is None else np.array(weight))
