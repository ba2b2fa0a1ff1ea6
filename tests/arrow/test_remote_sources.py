"""Sources on an object store: the rows are those of the same files on a disk."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fluent_pipe.arrow import csv_survey, parquet_source, tfrecord
from fluent_pipe.arrow.csv import CsvFormat
from fluent_pipe.arrow.files import Piece, list_pieces
from fluent_pipe.arrow.tf_example import serialized
from fluent_pipe.arrow.tfrecord_file import RecordFile
from fluent_pipe.errors import ArgumentError, InputError
from fluent_pipe.remote import write_bytes
from fluent_pipe.steps.checks import patterns
from fluent_pipe.steps.paths import matches
from fluent_pipe.store.content import of_locations
from tests import buckets, trips

RANGE_BYTES = 4096


@pytest.fixture(scope="module", params=buckets.STORES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A folder with files of every kind, and a URL with the same files."""
    folder = tmp_path_factory.mktemp("files")
    plain = trips.write(folder / "trips.csv", trips.rows(500))
    (folder / "trips.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with zipfile.ZipFile(folder / "trips.zip", "w") as archive:
        archive.write(plain, "a.csv")
    table = pa.table({"miles": [n / 3 for n in range(5000)], "city": [f"c{n % 7}" for n in range(5000)]})
    pq.write_table(table, folder / "trips.parquet", row_group_size=1000)
    records = RecordFile(folder / "trips.tfrecord.gz")
    records.write(serialized(table.to_batches()[0]))
    records.close()
    with buckets.bucket(request.param) as url:
        yield str(folder), buckets.upload(folder, f"{url}/files")


def rows(reader: object, pieces: list[Piece]) -> pa.Table:
    return pa.Table.from_batches([batch for piece in pieces for batch in reader.read(piece)])


@pytest.mark.parametrize("name", ["trips.csv", "trips.csv.gz", "trips.zip"])
def test_csv(both: tuple[str, str], name: str) -> None:
    read = []
    for place in both:
        files = list_pieces([("", [f"{place}/{name}"])])
        reader = csv_survey.guess(CsvFormat(), files, {})
        pieces = csv_survey.share(CsvFormat(), files, RANGE_BYTES)
        read.append((rows(reader, pieces), len(pieces)))
    assert read[0] == read[1]
    assert read[0][1] > 2 or name != "trips.csv"  # several workers read one plain file


def test_parquet(both: tuple[str, str]) -> None:
    read = []
    for place in both:
        files = list_pieces([("", [f"{place}/trips.parquet"])])
        reader, pieces = parquet_source.survey(files, range_bytes=RANGE_BYTES)
        read.append((rows(reader, pieces), len(pieces)))
    assert read[0] == read[1]
    assert read[0][1] > 2


def test_tfrecord(both: tuple[str, str]) -> None:
    read = []
    for place in both:
        reader, pieces = tfrecord.survey(list_pieces([("", [f"{place}/trips.tfrecord.gz"])]))
        read.append(rows(reader, pieces))
    assert read[0].equals(read[1])


def test_patterns_mean_what_they_mean_on_a_disk(both: tuple[str, str]) -> None:
    here, there = both
    for pattern in ("trips.csv", "*.csv*", "trips.*", "**/*.zip", "", "nothing*"):
        found = [name.removeprefix(here) for name in matches(f"{here}/{pattern}".rstrip("/"))]
        assert [name.removeprefix(there) for name in matches(f"{there}/{pattern}".rstrip("/"))] == found


def test_a_tag_stands_for_the_content_and_changes_with_it(both: tuple[str, str]) -> None:
    _, there = both
    names = matches(f"{there}/*.csv*")
    before = of_locations(names)
    assert before == of_locations(names)
    assert len(set(before)) == len(names)
    write_bytes(names[0], b"city,miles\nLinz,1\n")
    after = of_locations(names)
    assert after[0] != before[0]
    assert after[1:] == before[1:]
    write_bytes(names[0], Path(both[0], names[0].rpartition("/")[2]).read_bytes())


def test_a_pattern_that_matches_nothing_says_so(both: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="No file matches"):
        list_pieces([("", [f"{both[1]}/nothing*"])])
    with pytest.raises(ArgumentError, match="scheme"):
        patterns("hdfs://somewhere/*.csv", "from_csv")
