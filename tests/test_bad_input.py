"""What cannot work says why, and leaves the store as it was. What is merely odd works."""

import errno
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft

import fluent_pipe as fp
from fluent_pipe.errors import (
    ArgumentError,
    EvaluationError,
    InputError,
    StoreError,
    TrainingError,
    UserCodeError,
)
from fluent_pipe.training.raw_inputs import ServedModel, serialized
from tests import trips


@pytest.fixture
def chained(finished, tmp_path):
    """The chain of the finished run up to a step, in a copy of its store: what lies before a bad step is cached."""
    root = tmp_path / "root"
    shutil.copytree(finished.pipeline.root, root)
    ids = [s.id for s in finished.pipeline.steps]

    def up_to(step: str) -> fp.Pipeline:
        return replace(finished.pipeline, root=root, steps=finished.pipeline.steps[: ids.index(step) + 1])

    return up_to


@pytest.fixture
def empty(tmp_path):
    """A pipeline without a step, in a new store."""
    return fp.Pipeline("p", root=tmp_path / "root")


def published(pipeline: fp.Pipeline) -> set[Path]:
    """Everything that lies in the store, but logs of runs."""
    folders = pipeline.root.glob("*/*/*")
    return {f for f in folders if f.parent.name != "runs" and f.name != ".lock"}


def refused(pipeline: fp.Pipeline, kind: type[Exception], step: str, *words: str) -> str:
    """The text of the error that the run ends in, which has left nothing behind."""
    before = published(pipeline)
    with pytest.raises(kind) as caught:
        pipeline.run(progress=False)
    error = caught.value
    assert type(error) is kind
    assert error.step == step
    text = str(error)
    for word in words:
        assert word in text
    assert "Traceback" not in text
    assert published(pipeline) == before
    earlier = [s.id for s in pipeline.steps]
    states = {p.step.id: p.state for p in pipeline.plan().steps}
    assert {states[s] for s in earlier[: earlier.index(step)]} <= {"cached"}
    return text


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


# Files


def test_no_file_matches(empty, tmp_path):
    text(tmp_path / "trips.csv", "a,b\n1,2\n")
    pipeline = empty.from_csv(tmp_path / "trip-*.csv")
    refused(pipeline, InputError, "from_csv", "No file matches", "trip-*.csv", "trips.csv")


def test_an_empty_file(empty, tmp_path):
    refused(empty.from_csv(text(tmp_path / "a.csv", "")), InputError, "from_csv", "a.csv", "empty")


def test_a_header_and_no_row(empty, tmp_path):
    refused(empty.from_csv(text(tmp_path / "a.csv", "a,b\n")), InputError, "from_csv", "a.csv", "no row")


def test_files_of_different_columns(empty, tmp_path):
    files = [text(tmp_path / "a.csv", "a,b\n1,2\n"), text(tmp_path / "b.csv", "a,c\n1,2\n")]
    refused(empty.from_csv(files), InputError, "from_csv", "b.csv", "lacks 'b'", "has also 'c'", "a.csv")


ROWS = "".join(f"{i},{i * 2}\n" for i in range(50))


def test_too_many_ragged_rows(empty, tmp_path):
    file = text(tmp_path / "a.csv", f"a,b\n{ROWS}1,2,3\n{ROWS}")
    refused(empty.from_csv(file), InputError, "from_csv", "1 of 101 rows", "a.csv:52", "3 fields, 2 expected")


def test_a_few_ragged_rows_are_kept_aside(empty, tmp_path):
    file = text(tmp_path / "a.csv", f"a,b\n{ROWS}1,2,3\n{ROWS}")
    run = empty.from_csv(file, max_rejected=0.1).run(progress=False)
    (kept,) = (run.examples.artifact.path / "rejected").iterdir()
    row = json.loads(kept.read_text())
    assert (Path(row["file"]).name, row["line"]) == ("a.csv", 52)
    assert "3 fields" in row["reason"]
    assert sum(r["rows"] for r in run.examples.rows()) == 100


def test_a_split_that_comes_out_empty(empty):
    rows = pa.table({"a": [1, 2] * 100, "label": [1, 0] * 100})
    refused(empty.from_arrow(rows, splits={"train": 1, "eval": 1e-9}), InputError, "from_arrow", "'eval'", "200 rows")


def test_a_data_set_of_one_row(empty):
    refused(empty.from_arrow(pa.table({"a": [1]})), InputError, "from_arrow", "'eval'", "of 1 rows in all")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (pa.table({"a": [[[1]]]}), ["'a'", "nested"]),
        (pa.table({"a": [{"b": 1}]}), ["'a'", "nested"]),
        (pa.table([pa.array([1]), pa.array([1])], names=["a", "a"]), ["'a' is there 2 times"]),
        (pa.table({"": [1]}), ["has no name"]),
        (pd.DataFrame({"a": []}), ["no row"]),
    ],
    ids=["nested", "struct", "twice", "nameless", "no rows"],
)
def test_rows_in_memory_that_cannot_be_read(empty, rows, words):
    call = "from_pandas" if isinstance(rows, pd.DataFrame) else "from_arrow"
    refused(getattr(empty, call)(rows), InputError, call, *words)


def test_a_column_of_numbers_and_texts(empty):
    with pytest.raises(InputError, match=r"Column 'a' .* int, str") as caught:
        empty.from_pandas(pd.DataFrame({"a": [1, "b"]})).run(progress=False)
    assert caught.value.step == "from_pandas"


def test_numbers_that_no_int64_holds(empty):
    rows = pa.table({"big": pa.array([2**64 - 1 - i for i in range(50)], pa.uint64())})
    pipeline = empty.from_arrow(rows)
    pipeline.run(progress=False)
    refused(pipeline.generate_statistics(), InputError, "generate_statistics", "'big'", "uint64", "not in range")


# Labels


def test_a_label_that_does_not_exist(chained):
    pipeline = chained("validate").preprocess(label="tiped")
    refused(pipeline, TrainingError, "preprocess", "'tiped'", "Did you mean 'tipped'?")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (lambda i: 1, ["one value only", "'1'"]),
        (lambda i: i % 2 if i % 9 else "", ["no value in", "split 'train'"]),
    ],
    ids=["one class", "missing values"],
)
def test_a_label_that_cannot_be_learnt(empty, tmp_path, label, words):
    csv = trips.write(tmp_path / "a.csv", [{**t, "tipped": label(i)} for i, t in enumerate(trips.rows(200))])
    pipeline = empty.from_csv(csv).generate_statistics().infer_schema()
    pipeline.run(progress=False)
    refused(pipeline.preprocess(label="tipped"), TrainingError, "preprocess", "'tipped'", *words)


# Functions of the user


def raises(inputs):
    raise ValueError("no luck")


def returns_nothing(inputs):
    pass


def drops_the_label(inputs):
    return {"miles": inputs["miles"]}


def misspells_a_column(inputs):
    return {"miles": inputs["mile"]}


def reads_words_as_numbers(inputs):
    return {"tipped": inputs["tipped"], "city": tf.strings.to_number(inputs["city"])}


def scales_words_as_numbers(inputs):
    return {"tipped": inputs["tipped"], "city": tft.scale_to_z_score(tf.strings.to_number(inputs["city"]))}


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (raises, UserCodeError, ["ValueError: no luck"]),
        (returns_nothing, UserCodeError, ["returns nothing"]),
        (drops_the_label, TrainingError, ["'tipped' is not a transformed feature", "miles"]),
        (misspells_a_column, UserCodeError, ["no column 'mile'", "Did you mean 'miles'?"]),
        (reads_words_as_numbers, UserCodeError, ["not correctly convert string", "StringToNumber", "rows of split"]),
        (scales_words_as_numbers, UserCodeError, ["could not correctly convert string", "StringToNumber"]),
    ],
)
def test_a_preprocessing_fn_that_goes_wrong(chained, function, kind, words):
    pipeline = chained("validate").preprocess(function, label="tipped")
    refused(pipeline, kind, "preprocess", function.__name__, "test_bad_input.py", *words)


def a_model(data, activation="sigmoid"):
    inputs = data.inputs()
    numbers = [keras.ops.cast(i, "float32") for i in inputs.values()]
    return keras.Model(inputs, keras.layers.Dense(1, activation=activation)(keras.layers.Concatenate()(numbers)))


def builds_nothing(data, hp):
    pass


def builds_a_text(data, hp):
    return "a model"


def does_not_compile(data, hp):
    return a_model(data)


def gives_up(data, hp):
    raise RuntimeError("out of ideas")


@pytest.mark.parametrize(
    ("build_model", "words"),
    [
        (builds_nothing, ["returned nothing"]),
        (builds_a_text, ["returned str"]),
        (does_not_compile, ["not compiled", "model.compile"]),
        (gives_up, ["RuntimeError: out of ideas"]),
    ],
)
def test_a_build_model_that_goes_wrong(chained, build_model, words):
    pipeline = chained("preprocess").train(build_model)
    refused(pipeline, UserCodeError, "train", build_model.__name__, "test_bad_input.py", *words)


def takes_giant_steps(data, hp):
    model = a_model(data, activation=None)
    model.compile(keras.optimizers.SGD(1e38), "mse")
    return model


def loses_count(data, hp):
    model = a_model(data)
    model.compile("sgd", lambda truth, predicted: keras.ops.mean(keras.ops.log(predicted - 2.0)))
    return model


@pytest.mark.parametrize(
    ("build_model", "batch_size"), [(loses_count, 64), (takes_giant_steps, 64), (takes_giant_steps, 4096)]
)
def test_a_loss_that_is_no_number(chained, build_model, batch_size):
    pipeline = chained("preprocess").train(build_model, batch_size=batch_size)
    said = refused(pipeline, TrainingError, "train")
    assert "NaN" in said or "infinite" in said or "nan" in said or "inf " in said


# Evaluation


def test_an_unknown_metric_is_refused_at_the_call(finished):
    prefix = replace(finished.pipeline, steps=finished.pipeline.steps[:-2])
    with pytest.raises(ArgumentError, match=r"no metric 'AUK'.*Did you mean 'auc'\?"):
        prefix.evaluate(metrics=["AUK"])
    with pytest.raises(ArgumentError, match="no metric 'presicion'"):
        prefix.evaluate(require={"presicion": fp.at_least(0.5)})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"slices": ["citty"]}, ["'citty'", "Did you mean 'city'?"]),
        ({"metrics": ["RootMeanSquaredError"]}, ["'RootMeanSquaredError' does not fit a binary label"]),
        ({"require": {"rmse": fp.at_most(1)}}, ["'rmse' does not fit a binary label"]),
    ],
)
def test_an_evaluation_that_cannot_work_ends_the_run_before_training(chained, asked, words):
    pipeline = chained("preprocess").train(gives_up).evaluate(**asked)
    with pytest.raises(EvaluationError) as caught:
        pipeline.run(progress=False)
    assert caught.value.step == "evaluate"
    assert all(word in str(caught.value) for word in words)
    assert "out of ideas" not in str(caught.value)


def test_a_column_of_statistics_slices_that_does_not_exist(chained):
    pipeline = chained("from_csv").generate_statistics(slices=["citty"])
    refused(pipeline, InputError, "generate_statistics", "'citty'", "Did you mean 'city'?")


# The store


def test_a_root_that_cannot_be_written(empty, tmp_path):
    csv = trips.write(tmp_path / "a.csv", trips.rows(20))
    for root in (Path("/proc/nowhere"), csv):
        with pytest.raises(StoreError, match="Choose") as caught:
            replace(empty, root=root).from_csv(csv).run(progress=False)
        assert str(root) in str(caught.value)


def test_a_damaged_metadata_store(chained):
    pipeline = chained("from_csv")
    before = published(pipeline)
    (pipeline.root / "metadata.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"metadata.sqlite: .* damaged .* move it away"):
        pipeline.run(progress=False)
    assert published(pipeline) == before


def test_a_store_of_a_newer_version(chained):
    pipeline = chained("from_csv")
    before = published(pipeline)
    (pipeline.root / "layout.json").write_text(json.dumps({"layout": 999}))
    with pytest.raises(StoreError, match=r"layout 999.*Upgrade"):
        pipeline.run(progress=False)
    assert published(pipeline) == before


class FullDisk:
    """A double of a disk that takes no more rows."""

    def __init__(self, monkeypatch):
        self._patch = monkeypatch
        monkeypatch.setattr(pq.ParquetWriter, "write_table", self.write_table)

    def write_table(self, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def make_room(self):
        self._patch.undo()


def test_a_disk_that_fills_up(chained, monkeypatch, tmp_path):
    csv = trips.write(tmp_path / "new.csv", trips.rows(100, seed=3))
    pipeline = replace(chained("from_csv"), steps=()).from_csv(csv)
    disk = FullDisk(monkeypatch)
    refused(pipeline, StoreError, "from_csv", "The disk is full", str(pipeline.root), "Make room")
    disk.make_room()
    assert pipeline.run(progress=False).state == "succeeded"


def test_a_disk_that_fills_up_while_a_step_is_published(chained, monkeypatch, tmp_path):
    csv = trips.write(tmp_path / "new.csv", trips.rows(100, seed=3))
    pipeline = replace(chained("from_csv"), steps=()).from_csv(csv)
    before = published(pipeline)

    real = Path.rename

    def rename(self, target):
        if Path(target).parent.name == "from_csv":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StoreError, match="The disk is full"):
        pipeline.run(progress=False)
    monkeypatch.undo()
    assert published(pipeline) == before
    assert pipeline.run(progress=False).state == "succeeded"


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a disk of 3 MB cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_real_disk_that_fills_up(small_disk, tmp_path):
    noise = np.random.default_rng(0).normal(size=(60_000, 10))
    frame = pd.DataFrame(noise, columns=list("abcdefghij"))
    pipeline = fp.Pipeline("p", root=small_disk / "root").from_pandas(frame)
    few = fp.Pipeline("p", root=small_disk / "root").from_pandas(frame.head(100))
    few.run(progress=False)
    refused(pipeline, StoreError, "from_pandas", "The disk is full", str(small_disk))
    assert few.run(progress=False).timings.rows()[0]["state"] == "cached"


# What is odd and works


def test_text_that_comes_late_in_a_column_of_numbers(empty, tmp_path):
    lines = [f"{n},{n}" for n in range(150_000)]  # more than is looked at before the reading begins
    csv = text(tmp_path / "late.csv", "\n".join(["a,b", *lines, "7,late"]) + "\n")
    run = empty.from_csv(csv).run(progress=False)
    assert run.examples.artifact.facts()["columns"] == {"a": "int64", "b": "string"}


ODD_NAMES = (
    "größe", "都市", "a b", "a.b", "a_b", "a/b", "/c", "it's", 'say "x"', "a:b", "a,b", "a\\b", "_x", "a-b",
    "a[0]", "9x", "a%b", "../up", " pad ", "0", "label", "features", "examples", "predictions", "inputs", "weight",
    "self", "training", "prediction", "table", "add", "where", "serving_default",
)  # fmt: skip


def chain(pipeline: fp.Pipeline, serving: Path, *, label: str = "tipped", slices=()) -> fp.Run:
    return (
        pipeline.generate_statistics()
        .infer_schema()
        .validate(on_anomaly="warn")
        .preprocess(label=label)
        .train(batch_size=256)
        .evaluate(slices=list(slices))
        .push_to(serving)
        .run(progress=False)
    )


@pytest.mark.slow
def test_odd_names_of_columns(empty, tmp_path):
    random = np.random.default_rng(0)
    columns = {}
    for place, name in enumerate(ODD_NAMES):
        columns[name] = random.choice(["u", "v"], 300) if place % 2 else random.normal(size=300)
    rows = pa.table({**columns, "tipped": (random.random(300) > 0.5).astype(int)})
    slices = ["都市", "a/b", 'say "x"', "9x"]
    run = chain(empty.from_arrow(rows), tmp_path / "serving", slices=slices)
    assert {"都市=u", "a/b=v"} <= {r["slice"] for r in run.evaluation.rows()}
    folder = run.pushed.destination
    batch = rows.slice(0, 20).combine_chunks().to_batches()[0]
    from_columns = ServedModel(folder).predict(batch)
    default = tf.saved_model.load(str(folder)).signatures["serving_default"]
    from_examples = default(examples=tf.constant(serialized(batch)))["predictions"].numpy()[:, 0]
    np.testing.assert_allclose(from_columns, from_examples, atol=1e-6)


@pytest.mark.slow
def test_odd_types_of_columns(empty, tmp_path):
    random = np.random.default_rng(0)
    count = 300
    days = np.datetime64("2024-01-01") + random.integers(0, 20, count)
    rows = pa.table(
        {
            "nothing": pa.nulls(count),
            "constant": [1] * count,
            "truth": random.random(count) > 0.5,
            "day": pa.array(days, pa.date32()),
            "moment": pa.array(days.astype("datetime64[us]")),
            "wait": pa.array(random.integers(0, 10**6, count), pa.duration("us")),
            "numbers": [[float(i)] * (i % 4) for i in range(count)],
            "words": [["u", "v"][: i % 3] for i in range(count)],
            "pair": pa.array(random.normal(size=(count, 2)).tolist(), pa.list_(pa.float64(), 2)),
            "huge": 2**62 + np.arange(count),
            "endless": [float("inf") if i % 3 else 1.0 for i in range(count)],
            "no number": [float("nan")] * count,
            "price": pa.array([1, 2] * (count // 2), pa.decimal128(38, 2)),
            "bytes": [b"\xff\xfe", b"u"] * (count // 2),
            "kind": pa.array(["u", "v", None] * (count // 3)).dictionary_encode(),
            "tipped": random.random(count) > 0.5,
        }
    )
    run = chain(empty.from_arrow(rows), tmp_path / "serving", slices=["truth", "day", "words", "nothing", "kind"])
    assert run.pushed.version == 1


def test_odd_columns_of_a_frame(empty, tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            0: random.normal(size=300),
            "category": pd.Categorical(random.choice(["u", "v", None], 300)),
            "numbers": pd.Categorical(random.choice([1, 2], 300)),
            "maybe": pd.array([1, None] * 150, "Int64"),
            "mixed": pd.Series([1, 2.5] * 150, dtype=object),
            "zoned": pd.date_range("2024", periods=300, tz="Europe/Vienna"),
            "label": random.choice(["yes", "no"], 300),
        }
    )
    run = chain(empty.from_pandas(pd.concat([frame, frame])), tmp_path / "serving", label="label", slices=["category"])
    assert sum(r["rows"] for r in run.examples.rows()) == 600
    assert run.pushed.version == 1
