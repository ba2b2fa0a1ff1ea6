"""Rows from all over Parquet files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fluent_pipe.arrow.parquet import spread_rows


@pytest.fixture
def files(tmp_path):
    """900 numbered rows in two files of several row groups, and a file without rows."""
    table = pa.table({"number": range(900)})
    paths = [tmp_path / f"part-{n}.parquet" for n in range(3)]
    for path, part in zip(paths, (table.slice(0, 600), table.slice(600), table.slice(0, 0)), strict=True):
        pq.write_table(part, path, row_group_size=100)
    return paths


def test_rows_come_from_all_over_the_files(files):
    numbers = spread_rows(files, 30).column(0).to_pylist()
    assert len(numbers) == 30
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (0, 899)
    assert len({number // 100 for number in numbers}) == 8


def test_all_rows_of_a_small_file(files):
    assert spread_rows(files[1:], 1000).num_rows == 300
    assert spread_rows(files, 1).num_rows == 1


def test_no_rows(files):
    assert spread_rows(files[2:], 10) is None
    assert spread_rows([], 10) is None
