"""CSV text to typed batches: values, types over the whole input, rows that do not fit."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.arrow.csv import CsvFormat
from fluent_pipe.arrow.csv_blocks import Dialect
from fluent_pipe.errors import InputError
from tests.arrow.csv_reading import read


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_plain_gzip_and_zip_side_by_side(tmp_path):
    write(tmp_path / "a.csv", "x,y\n1,a\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"x,y\n2,b\n"))
    with zipfile.ZipFile(tmp_path / "c.csv.zip", "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/c1.csv", "x,y\n3,c\n")
        archive.writestr("c2.csv", "y,x\nd,4\n")  # another order of the same columns
    table, rejected = read(tmp_path / "*.csv*")
    assert sorted(table.to_pydict()["x"]) == [1, 2, 3, 4]
    assert sorted(table.to_pydict()["y"]) == ["a", "b", "c", "d"]
    assert rejected == []


def test_byte_order_mark_crlf_and_blank_lines(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf"x",y\r\n\r\n1,a\r\n\r\n2,b\r\n\r\n')
    table, rejected = read(tmp_path / "a.csv")
    assert table.to_pydict() == {"x": [1, 2], "y": ["a", "b"]}
    assert rejected == []


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_encodings(tmp_path, encoding):
    write(tmp_path / "a.csv", "name,city\nZoë,Málaga\nÅsa,Köln\n" * 1 + "Ö,Ü\n" * 20, encoding)
    table, rejected = read(tmp_path / "a.csv", CsvFormat(encoding=encoding, block_bytes=16), range_bytes=40)
    assert table.num_rows == 22
    assert table.slice(0, 2).to_pydict() == {"name": ["Zoë", "Åsa"], "city": ["Málaga", "Köln"]}
    assert rejected == []


def test_given_names_other_characters_and_null_values(tmp_path):
    write(tmp_path / "a.csv", "1;'a;b';-\n-;'it\\'s';2.5\n")
    form = CsvFormat(Dialect(";", "'", "\\"), column_names=("x", "y", "z"), null_values=("-",))
    table, _ = read(tmp_path / "a.csv", form)
    assert table.to_pydict() == {"x": [1, None], "y": ["a;b", "it's"], "z": [None, 2.5]}


def test_types_come_from_all_the_data(tmp_path):
    late = "".join(f"{i},,{i},{i:03d},\n" for i in range(400_000)) + "1,7,0.5,x7,\n"
    table, _ = read(write(tmp_path / "a.csv", "a,b,c,d,e\n" + late), CsvFormat(block_bytes=1 << 20))
    assert [str(kind) for kind in table.schema.types] == ["int64", "int64", "double", "string", "null"]
    assert table["d"][7].as_py() == "007"
    assert table["b"].null_count == 400_000


def test_truth_values_dates_and_times_stay_text_unless_asked_otherwise(tmp_path):
    path = write(tmp_path / "a.csv", "b,d,t\ntrue,2013-01-31,2013-01-01T05:00:00Z\nfalse,,2013-01-01 07:30:00\n")
    assert [str(k) for k in read(path)[0].schema.types] == ["string"] * 3
    table, rejected = read(path, types={"b": "bool", "d": "date", "t": "timestamp"})
    assert rejected == []
    assert table.to_pydict() == {
        "b": [True, False],
        "d": [dt.date(2013, 1, 31), None],
        "t": [dt.datetime(2013, 1, 1, 5), dt.datetime(2013, 1, 1, 7, 30)],
    }


def test_integers_beyond_64_bits_become_floats(tmp_path):
    table, _ = read(write(tmp_path / "a.csv", "x\n1\n9223372036854775808\n"))
    assert table.to_pydict() == {"x": [1.0, 9223372036854775808.0]}


@pytest.mark.parametrize("block_bytes", [8, 1 << 20])
@pytest.mark.parametrize("range_bytes", [12, 1 << 20])
def test_rows_that_do_not_fit_are_told_with_their_line(tmp_path, block_bytes, range_bytes):
    lines = [b"a,b,c", b'1,"two', b'lines",x', b"2,y", b"", b"3,z,x,x", b"no,t,x", b"4,\xff,x", b"5,w,x", b'6,"open,x']
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines) + b"\n")
    form = CsvFormat(block_bytes=block_bytes, null_values=("",))
    table, rejected = read(tmp_path / "a.csv", form, {"a": "int"}, range_bytes)
    assert table.to_pydict() == {"a": [1, 5], "b": ["two\nlines", "w"], "c": ["x", "x"]}
    assert [(r.line, r.reason) for r in rejected] == [
        (4, "2 fields, 3 expected"),
        (6, "4 fields, 3 expected"),
        (7, "column 'a': 'no' is not an integer"),
        (8, "bytes that are not utf-8 text"),
        (10, "a quote opens and never closes"),
    ]
    assert {r.file for r in rejected} == {str(tmp_path / "a.csv")}
    assert rejected[2].text == "no,t,x"


def test_a_given_time_that_is_none_is_rejected(tmp_path):
    path = write(tmp_path / "a.csv", "t\n2013-01-01 05:00:00\nsoon\n2013-01-01T05:00:00+01:00\n")
    table, rejected = read(path, types={"t": "timestamp"})
    assert table.num_rows == 2
    assert [(r.line, r.reason) for r in rejected] == [(3, "column 't': 'soon' is not an ISO time")]


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.sampled_from(["1", " 2", "3.5", "x", "true", "0", 'a""b', "2013-01-01", "", "NA"]), min_size=1),
    kind=st.sampled_from(["int", "float", "bool", "date", "timestamp"]),
    block_bytes=st.integers(1, 100),
)
def test_a_value_is_rejected_wherever_it_stands(tmp_path_factory, values, kind, block_bytes):
    path = write(tmp_path_factory.mktemp("given") / "a.csv", "x,y\n" + "".join(f'"{v}",\n' for v in values))

    def alone(value: str) -> bool:
        one = write(path.with_name("one.csv"), f'x,y\n"{value}",\n')
        return not read(one, types={"x": kind})[1]

    table, rejected = read(path, CsvFormat(block_bytes=block_bytes), {"x": kind})
    fits = {value: alone(value) for value in set(values)}
    assert table.num_rows == sum(fits[value] for value in values)
    assert [r.line - 2 for r in rejected] == [i for i, value in enumerate(values) if not fits[value]]


def test_undecodable_bytes_do_not_decide_a_type(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x\n1\n2\xff\n3\n")
    table, rejected = read(tmp_path / "a.csv")
    assert table.to_pydict() == {"x": [1, 3]}
    assert rejected[0].line == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.csv": ""}, "a.csv: This file is empty"),
        ({"a.csv": "x\n1\n", "b.csv": ""}, "b.csv: This file is empty"),
        ({"a.csv": "\n\n"}, "a.csv: This file is empty"),
        ({"a.csv": "x,y\n"}, "a.csv: There is a header and no row"),
        ({"a.csv": "x,y\n1,2\n", "b.csv": "x,z\n1,2\n"}, "b.csv: .* lacks 'y' and has also 'z', compared with .*a.csv"),
        ({"a.csv": "x,x\n1,2\n"}, "Column 'x' is there 2 times"),
        ({"a.csv": ",x\n1,2\n"}, "Column 1 of 2 has no name"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, files, message):
    for name, text in files.items():
        write(tmp_path / name, text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "*.csv")


def test_a_pattern_that_matches_nothing_names_what_is_near(tmp_path):
    write(tmp_path / "flights-2013.csv", "x\n1\n")
    with pytest.raises(InputError, match=r"No file matches .*There are: flights-2013.csv. Did you mean"):
        read(tmp_path / "flight-*.csv")
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "nowhere" / "*.csv")


def test_broken_compressed_files(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x\n1\n" * 1000)[:-20])
    with pytest.raises(InputError, match=r"a.csv.gz: This compressed file is broken"):
        read(tmp_path / "a.csv.gz")
    (tmp_path / "b.zip").write_bytes(b"PK no zip")
    with pytest.raises(InputError, match=r"b.zip: This compressed file is broken"):
        read(tmp_path / "b.zip")


def test_a_type_for_a_column_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"types= names column 'fair'.*There are: fare, tips. Did you mean 'fare'"):
        read(write(tmp_path / "a.csv", "fare,tips\n1,2\n"), types={"fair": "float"})


# Text as people have it, and as the csv module writes it: no bare "\r", which readers differ about.
CELLS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\x00"), max_size=8)
QUOTED = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30),
    quoting=QUOTED,
    end=st.sampled_from(["\n", "\r\n"]),
    block_bytes=st.integers(1, 200),
    range_bytes=st.integers(1, 200),
    files=st.integers(1, 3),
)
def test_what_the_csv_module_writes_reads_back_equal(
    tmp_path_factory, rows, quoting, end, block_bytes, range_bytes, files
):
    folder = tmp_path_factory.mktemp("csv")
    share = -(-len(rows) // files)
    for index in range(0, len(rows), share):
        text = io.StringIO()
        writer = csv.writer(text, quoting=quoting, lineterminator=end)
        writer.writerows([("a", "b"), *rows[index : index + share]])
        write(folder / f"{index:03}.csv", text.getvalue())
    form = CsvFormat(block_bytes=block_bytes, null_values=())
    table, rejected = read(folder / "*.csv", form, {"a": "string", "b": "string"}, range_bytes)
    assert rejected == []
    assert table.to_pydict() == {"a": [a for a, _ in rows], "b": [b for _, b in rows]}


VALUES = st.sampled_from(
    ["", "0", "7", "-3", "007", "1.5", "1e3", "true", "2013-01-01", "x7", "9223372036854775808", "12:30"]
)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20),
    block_bytes=st.integers(1, 60),
    range_bytes=st.integers(1, 60),
    files=st.integers(1, 8),
)
def test_one_block_gives_what_many_give(tmp_path_factory, rows, block_bytes, range_bytes, files):
    folder = tmp_path_factory.mktemp("types")
    lines = [f"{a},{b}\n" for a, b in rows]
    (folder / "one").mkdir()
    write(folder / "one" / "a.csv", "a,b\n" + "".join(lines))
    share = -(-len(rows) // files)
    for index in range(0, len(rows), share):
        write(folder / f"{index:03}.csv", "a,b\n" + "".join(lines[index : index + share]))
    one, _ = read(folder / "one" / "a.csv")
    many, _ = read(folder / "*.csv", CsvFormat(block_bytes=block_bytes), range_bytes=range_bytes)
    assert many.schema == one.schema
    assert many.to_pydict() == one.to_pydict()
    kinds = {"": 0, "0": 1, "7": 1, "-3": 1, "007": 1, "1.5": 2, "1e3": 2, "9223372036854775808": 2}
    chain = [pa.null(), pa.int64(), pa.float64(), pa.string()]
    assert one.schema.types == [chain[max(kinds.get(row[i], 3) for row in rows)] for i in range(2)]
