"""Components of one's own: how they are written, what they leave, and what goes wrong."""

from __future__ import annotations

import functools
import json
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError, OrderError, StepFailed, UserCodeError
from fluent_pipe.loading import load
from tests import trips
from tests.own_code import TRIPS, refused

EXAMPLES = Path(__file__).parents[1] / "examples" / "custom"


class Report(fp.Artifact):
    """``report.json``: ``{"miles": [float]}``."""

    facts_file = "report.json"
    facts_keys = ("miles",)

    def summary(self):
        return f"{len(self.facts()['miles'])} trips"


@fp.component(outputs=Report)
def longest_trips(examples: fp.Examples, out: Path, *, count: int = 10) -> None:
    """The longest trips of the training split."""
    miles = pa.concat_tables(map(pq.read_table, examples.files("train")))["miles"].to_pylist()
    (out / "report.json").write_text(json.dumps({"miles": sorted(miles)[-count:]}))


@fp.component(outputs=Report)
def shortest(report: Report, out: Path) -> None:
    """Of the longest trips."""
    (out / "report.json").write_text(json.dumps({"miles": report.facts()["miles"][:1]}))


class CountRows(fp.Component):
    """Rows by value of a column, summed up by Beam."""

    inputs: ClassVar = {"examples": fp.Examples}
    outputs = Report

    def __init__(self, column: str = "user") -> None:
        self.column = column

    def run(self, pipeline, examples, out):
        def write(counts):
            (out / "report.json").write_text(json.dumps({"miles": [], "counts": counts}))

        values = tuple(examples.values()) | beam.Flatten() | beam.FlatMap(lambda b: b.column(self.column).to_pylist())
        return values | beam.combiners.Count.PerElement() | beam.combiners.ToDict() | beam.Map(write)


@fp.component(outputs=fp.Examples, inputs={"examples": fp.Examples})
def twice(pipeline, examples, out):
    """Every row two times."""
    return {split: rows | f"Twice {split}" >> beam.FlatMap(lambda b: [b, b]) for split, rows in examples.items()}


def wrapped(function, outputs=Report, **options):
    return fp.component(outputs=outputs, **options)(function)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A pipeline of a source whose result is there."""
    pipeline = fp.Pipeline("trips", root=tmp_path_factory.mktemp("own")).from_arrow(TRIPS, partition_by="user")
    pipeline.run(progress=False)
    return pipeline


@pytest.fixture
def source(stored, tmp_path):
    """The same, in a root of its own."""
    shutil.copytree(stored.root, tmp_path / "root")
    return fp.Pipeline("trips", root=tmp_path / "root", steps=stored.steps)


# Components


def test_a_function_is_called_with_artifacts_and_arguments(source):
    pipeline = source.apply(longest_trips(count=3)).apply(shortest).generate_statistics()
    assert pipeline.plan().jobs == (("longest_trips",), ("shortest",), ("generate_statistics",)), "called once"
    run = source.apply(longest_trips(count=3)).apply(shortest).run(progress=False)
    assert run.artifact(Report, step="longest_trips").facts() == {"miles": [12.0] * 3}
    assert run.artifact(Report).facts() == {"miles": [12.0]}, "the last one"
    assert run.artifact(Report).summary() == "1 trips"
    with pytest.raises(StepFailed, match="Report of longest_trips, Report of shortest"):
        run.artifact(fp.Model)


def test_beam_transforms_share_the_job_of_the_source(tmp_path):
    pipeline = fp.Pipeline("p", root=tmp_path).from_arrow(TRIPS).apply(CountRows("miles")).generate_statistics()
    assert pipeline.plan().jobs == (("from_arrow", "count_rows", "generate_statistics"),)
    counts = pipeline.run(progress=False).artifact(Report).facts()["counts"]
    assert counts == {str(float(n)): len(range(n, 1000, 13)) for n in range(13)}


def test_examples_of_ones_own_take_the_place_of_the_source_s(source):
    pipeline = source.apply(twice).generate_statistics()
    run = pipeline.run(progress=False)
    rows = run.artifact(fp.Examples, step="from_arrow").facts()["splits"]
    assert run.examples.artifact.facts()["splits"] == {s: {"rows": 2 * n["rows"]} for s, n in rows.items()}
    assert run.statistics.rows()[0]["rows"] == 2 * rows["eval"]["rows"]


def test_examples_that_a_function_wrote_are_described(source):
    def only_long(examples: fp.Examples, out: Path):
        for split in ("train", "eval"):
            (out / f"Split-{split}").mkdir()
            rows = pa.concat_tables(map(pq.read_table, examples.files(split)))
            pq.write_table(rows.filter(pc.greater(rows["miles"], 11)), out / f"Split-{split}" / "rows.parquet")

    pipeline = source.apply(wrapped(only_long, fp.Examples)).generate_statistics()
    assert pipeline.plan().jobs == (("only_long",), ("generate_statistics",)), "what it leaves does not flow"
    run = pipeline.run(progress=False)
    assert sum(r["rows"] for r in run.examples.rows()) == 76
    assert run.examples.artifact.facts()["columns"] == {"user": "string", "miles": "double"}
    assert min(r["min"] for r in run.statistics.rows() if r["column"] == "miles") == 12


def test_a_schema_of_ones_own_is_validated_against(source):
    def strict(schema: fp.Schema, out: Path):
        text = (schema.path / "schema.pbtxt").read_text()
        (out / "schema.pbtxt").write_text(text.replace("type: FLOAT", "type: FLOAT float_domain { max: 5 }"))

    data = source.generate_statistics().infer_schema().apply(wrapped(strict, fp.Schema))
    anomalies = data.validate(on_anomaly="warn").run(progress=False).anomalies
    assert {row["column"] for row in anomalies.rows()} == {"miles"}


def test_what_changes_the_result_changes_the_key(source):
    def key(component):
        return source.apply(component).plan().steps[-1].key

    def of(number, version=1):
        def report(examples: fp.Examples, out: Path):
            (out / "report.json").write_text(json.dumps({"miles": [number]}))

        return wrapped(report, version=version)

    assert key(longest_trips) == key(longest_trips())
    assert key(CountRows) == key(CountRows("user"))
    different = [longest_trips, longest_trips(count=3), CountRows, CountRows("miles"), of(1), of(2), of(2, version=2)]
    assert len({key(c) for c in different}) == len(different)


def test_a_pipeline_with_a_component_pickles(source):
    pipeline = source.apply(longest_trips(count=3)).apply(CountRows("miles"))
    again = pickle.loads(pickle.dumps(pipeline))
    assert [p.key for p in again.plan().steps] == [p.key for p in pipeline.plan().steps]
    assert isinstance(hash(pipeline), int)


def test_unchanged_it_is_cached_also_for_a_type_that_was_made_anew(source):
    def pipeline():
        class Made(fp.Artifact):
            facts_file = "made.json"

        def make(examples: fp.Examples, out: Path):
            (out / "made.json").write_text("{}")

        return Made, source.apply(wrapped(make, Made))

    first, again = pipeline(), pipeline()
    first[1].run(progress=False)
    run = again[1].run(progress=False)
    assert run.timings.steps_run == ()
    assert type(run.artifact(again[0])) is again[0]
    assert type(run.artifact(first[0])) is first[0]


def test_runs_are_listed_without_the_users_types(source):
    run = source.apply(longest_trips).run(progress=False)
    command = [sys.executable, "-m", "fluent_pipe.cli", "show", run.id, "--root", str(source.root)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "longest_trips" in shown


# What is no component


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lambda out: None, "takes a component, got the function"),
        (lambda: wrapped(lambda out: None), "cannot be called '<lambda>'"),
        (lambda: wrapped(test_runs_are_listed_without_the_users_types), "no parameter `out`"),
        (lambda: wrapped(longest_trips.function, dict), "needs artifact types, got the class dict"),
        (lambda: wrapped(longest_trips.function, fp.Artifact), "a subclass of fp.Artifact"),
        (lambda: wrapped(longest_trips.function, type("Model", (fp.Artifact,), {})), "Model is a type of fluent_pipe"),
        (lambda: wrapped(longest_trips.function, inputs={"rows": fp.Examples}), "no parameter 'rows'"),
        (lambda: wrapped(longest_trips.function, inputs={}), r"needs examples="),
        (lambda: longest_trips(cuont=3), "Did you mean 'count'"),
        (lambda: longest_trips(3), r"takes its arguments by name: count=\.\.\."),
        (lambda: fp.component(outputs=Report)(CountRows), "takes a function, got the class CountRows"),
        (lambda: type("Nothing", (fp.Component,), {"outputs": Report}), "lacks a method run"),
    ],
)
def test_what_is_no_component_is_an_error_at_the_call(stored, make, words):
    with pytest.raises(ArgumentError, match=words):
        stored.apply(make())


def from_nowhere(out: Path):
    pass


def test_an_input_that_the_pipeline_does_not_make_is_an_error_at_the_call(stored):
    with pytest.raises(OrderError, match=r"shortest\(\) needs Report\. .* a component that leaves Report first"):
        stored.apply(shortest)
    with pytest.raises(OrderError, match=r"longest_trips\(\) needs examples"):
        fp.Pipeline("p").apply(longest_trips)
    with pytest.raises(OrderError, match=r"from_nowhere\(\) needs examples"):
        fp.Pipeline("p").apply(wrapped(from_nowhere, fp.Examples))


# Components that go wrong


def nothing(examples: fp.Examples, out: Path):
    pass


def another_file(examples: fp.Examples, out: Path):
    (out / "other.txt").write_text("{}")


def no_json(examples: fp.Examples, out: Path):
    (out / "report.json").write_text("{")


def no_miles(examples: fp.Examples, out: Path):
    (out / "report.json").write_text('{"hours": 1}')


def returns(examples: fp.Examples, out: Path):
    return {"miles": []}


def beside(examples: fp.Examples, out: Path):
    (out.parent / "stray.json").write_text("{}")


def into_its_input(examples: fp.Examples, out: Path):
    (examples.path / "stray.json").write_text("{}")


def a_link(examples: fp.Examples, out: Path):
    (out / "report.json").symlink_to(examples.path / "examples.json")


def stops(examples: fp.Examples, out: Path):
    sys.exit(1)


def no_split(pipeline, examples: fp.Examples, out: Path):
    return examples["test"]


def no_number(pipeline, examples: fp.Examples, out: Path):
    return examples["train"] | beam.Map(lambda batch: batch.num_rows / 0)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (nothing, ["left nothing", "Write report.json into `out`"]),
        (another_file, ["left no report.json, which Report holds", "other.txt"]),
        (no_json, ["is not JSON", "line 1"]),
        (no_miles, ["lacks miles", "It holds hours"]),
        (returns, ["returned a mapping of 'miles'", "return nothing"]),
        (beside, ["wrote outside of its folder: stray.json"]),
        (into_its_input, ["changed its input 'examples'", "was removed"]),
        (a_link, ["left a link, 'report.json'"]),
        (stops, ["raised SystemExit: 1", "test_own.py:"]),
        (no_split, ["there is no split 'test'; there are: train, eval", "test_own.py:"]),
        (no_number, ["raised ZeroDivisionError: division by zero", "test_own.py:"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_component_that_goes_wrong(source, function, words):
    refused(source.apply(wrapped(function)), function.__name__, *words)


def test_an_input_that_was_spoilt_is_made_anew(source):
    def spoils(examples: fp.Examples, out: Path):
        (examples.path / "examples.json").write_text("{}")

    with pytest.raises(UserCodeError, match=r"changed its input 'examples' .* The next run makes that anew"):
        source.apply(wrapped(spoils)).run(progress=False)
    run = source.run(progress=False)
    assert run.timings.steps_run == ("from_arrow",)


def test_what_cannot_be_pickled_is_named(source):
    lock = threading.Lock()

    def locked(examples: fp.Examples, out: Path):
        with lock:
            (out / "report.json").write_text("{}")

    refused(source.apply(wrapped(locked)), "locked", "cannot be sent to workers", "cannot pickle '_thread.lock'")


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (fp.Examples, ["left no rows of split 'train'"]),
        (fp.Schema, ["left no schema.pbtxt, which Schema holds"]),
        (fp.Model, ["left no training.json, which Model holds"]),
    ],
)
def test_a_type_of_ours_holds_what_it_says(source, outputs, words):
    refused(source.apply(wrapped(another_file, outputs)), "another_file", *words)


SLOW = """
import time
from pathlib import Path
import pyarrow as pa
import fluent_pipe as fp

class Report(fp.Artifact):
    facts_file = "report.json"

@fp.component(outputs=Report)
def slow(examples: fp.Examples, out: Path) -> None:
    (out / "report.json").write_text("{}")
    time.sleep(600)

pipeline = fp.Pipeline("p").from_arrow(pa.table({"a": list(range(100))})).apply(slow)
"""


@pytest.mark.slow
def test_ctrl_c_stops_a_component(tmp_path):
    (tmp_path / "pipeline.py").write_text(SLOW)
    command = [sys.executable, "-m", "fluent_pipe.cli", "run", "pipeline.py", "--root", "root"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not list(tmp_path.glob("root/p/.staging/*/slow/report.json")):
        assert process.poll() is None
        assert time.monotonic() < end, "the component was not called"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert not list(tmp_path.glob("root/p/slow/*")), "nothing half-written is published"
    assert not list(tmp_path.glob("root/p/.staging/*/*"))


# The worked examples


@functools.cache
def flights(folder):
    """A few flights."""
    rows = [
        {
            "carrier": "UA" if row["hour"] % 2 else "AA",
            "flight": n,
            "dest": row["city"],
            "arr_delay": row["hour"],
            "distance": 50 + 100 * (n % 3),
            "air_time": 60,
            "time_hour": "2013-01-01T10:00:00Z",
        }
        for n, row in enumerate(trips.rows(300))
    ]
    return trips.write(folder / "flights.csv", rows)


@pytest.mark.parametrize(
    ("example", "last", "left"),
    [
        ("longest_delays", "longest_delays", "longest_delays.json"),
        ("delays_by_carrier", "delays_by", "mean_delays.json"),
        ("filter_and_map", "map", "examples.json"),
    ],
)
def test_the_examples_run(example, last, left, tmp_path):
    file = EXAMPLES / f"{example}.py"
    # As `fluent-pipe run FILE --set FLIGHTS=...` does, but for the seconds that a new process takes.
    load(str(file), {"FLIGHTS": str(flights(tmp_path))}, tmp_path / "root").run(progress=False)
    (facts,) = (tmp_path / "root").glob(f"*/{last}/*/{left}")
    found = json.loads(facts.read_text())
    if example == "longest_delays":
        assert [f["arr_delay"] for f in found["flights"]] == [23] * 5
    elif example == "delays_by_carrier":
        assert found == {"AA": pytest.approx(11, abs=2), "UA": pytest.approx(12, abs=2)}
    else:
        assert "speed" in found["columns"]
        assert sum(s["rows"] for s in found["splits"].values()) == 200
    assert len(file.read_text().splitlines()) <= 65
