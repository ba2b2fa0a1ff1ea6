"""Parquet to batches: every row once, in bounded windows, shuffled by seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.errors import TrainingError
from fluent_pipe.training import dataset
from fluent_pipe.training.columns import Feature, to_array
from fluent_pipe.training.dataset import Batches

NUMBER, IDS, LABEL = Feature("number", "float32"), Feature("ids", "int64", multi_valued=True), Feature("label", "int64")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of 100 rows in row groups of 30; row i holds the number i and i % 3 ids."""
    folder = tmp_path_factory.mktemp("rows")
    for part in range(2):
        rows = range(part * 100, part * 100 + 100)
        ids = pa.array([[i] * (i % 3) for i in rows], pa.list_(pa.int64()))
        table = pa.table({"number": pa.array(rows, pa.float32()), "ids": ids, "label": pa.array([i % 2 for i in rows])})
        pq.write_table(table, folder / f"{part}.parquet", row_group_size=30)
    return tuple(sorted(folder.glob("*.parquet")))


def batches(files, batch_size=16, **more):
    return Batches(files, (NUMBER, IDS), batch_size, label=LABEL, **more)


def numbers(passed):
    return np.concatenate([features["number"].reshape(-1) for features, *_ in passed])


def test_one_pass_has_every_row_once(files) -> None:
    passed = list(batches(files).dataset().as_numpy_iterator())
    assert [len(label) for _, label in passed] == [16] * 12 + [8]
    assert numbers(passed).tolist() == list(range(200))
    features, label = passed[0]
    assert (features["number"].shape, label.shape) == ((16, 1), (16, 1))
    assert features["ids"][:4].tolist() == [[-1, -1], [1, -1], [2, 2], [-1, -1]]


@settings(max_examples=12, deadline=None)
@given(size=st.integers(1, 210), window=st.integers(1, 250), seed=st.none() | st.integers(0, 3))
def test_windows_and_sizes_of_batches_change_no_row(files, size, window, seed) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "WINDOW_ROWS", window)
        patch.setattr(dataset, "FIRST_WINDOW_ROWS", max(1, window // 2))
        patch.setattr(dataset, "BLOCK_ROWS", 64)
        reader = batches(files, size, shuffle_seed=seed)
        blocks = list(reader.blocks())
    seen = numbers(blocks)
    assert sorted(seen.tolist()) == list(range(200))
    assert sum(len(block[1]) for block in blocks) == reader.count, "all batches are whole but the last"
    labels = np.concatenate([label.reshape(-1) for _, label in blocks])
    assert (labels == seen.astype(int) % 2).all(), "rows stay together"


def test_each_pass_is_shuffled_anew_and_alike_for_one_seed(files) -> None:
    def two_passes(seed):
        shuffled = batches(files, shuffle_seed=seed).dataset()
        return [numbers(shuffled.as_numpy_iterator()).tolist() for _ in range(2)]

    first, second = two_passes(0)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(200))
    assert two_passes(0) == [first, second]
    assert numbers(batches(files, shuffle_seed=0).dataset(passes=2).as_numpy_iterator()).tolist() == first + second
    assert two_passes(1)[0] != first


def test_a_window_is_bounded_by_bytes(files, monkeypatch) -> None:
    monkeypatch.setattr(dataset, "WINDOW_BYTES", 500)
    sizes = [window.num_rows for window in dataset.windows(files, ["number"], multiple_of=10)]
    assert max(sizes) <= 150
    assert all(size % 10 == 0 for size in sizes)
    assert sum(sizes) == 200


def test_weights_of_classes_multiply_weights_of_rows(files) -> None:
    weight = Feature("number", "float32")
    ((_, label, weights),) = (
        Batches(files, (IDS,), 200, label=LABEL, weight=weight, class_weights={1: 10.0}).dataset().as_numpy_iterator()
    )
    assert (weights == np.arange(200) * np.where(label[:, 0] == 1, 10, 1)).all()


def test_columns_as_arrays() -> None:
    pairs = pa.array([[1, 2], [3, 4]], pa.list_(pa.float32()))
    assert to_array(pairs, Feature("pair", "float32", (2,))).tolist() == [[1, 2], [3, 4]]
    assert to_array(pa.array(["a", "b"]), Feature("text", "string")).tolist() == [[b"a"], [b"b"]]
    assert to_array(pa.array([[], None], pa.list_(pa.int64())), IDS).tolist() == [[-1], [-1]]


def test_a_row_that_does_not_fill_its_shape_is_named() -> None:
    with pytest.raises(TrainingError, match=r"'pair' holds 3 values in 2 rows, and its shape is \[2\]"):
        to_array(pa.array([[1, 2], [3]], pa.list_(pa.float32())), Feature("pair", "float32", (2,)))


def test_no_rows_is_an_error(tmp_path) -> None:
    pq.write_table(pa.table({"number": pa.array([], pa.float32())}), tmp_path / "empty.parquet")
    with pytest.raises(TrainingError, match="no rows"):
        Batches((tmp_path / "empty.parquet",), (NUMBER,), 8).dataset()
