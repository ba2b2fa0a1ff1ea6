"""bulk_infer(): predictions beside the rows, rows that fail aside, nothing where the model was refused."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

import fluent_pipe as fp
from fluent_pipe.artifacts import Examples, Model, TransformGraph
from fluent_pipe.components.bulk_infer import BulkInfer
from fluent_pipe.components.inputs import ExamplesInput, Input, TransformGraphInput
from fluent_pipe.errors import ArgumentError, InputError, StoreError, TrainingError
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.delivery import BulkInfer as Step
from fluent_pipe.training.raw_inputs import ServedModel
from tests.beam_jobs import context, run

TRAINED = pa.table({"miles": [1.5, 2.5], "hour": [1, 2], "word": ["1", "2"], "seen": pa.nulls(2), "label": [0, 1]})


class Sum(tf.Module):
    """Adds three columns up, and refuses a word that is no number."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, "miles"),
            tf.TensorSpec([None], tf.int64, "hour"),
            tf.TensorSpec([None], tf.string, "word"),
        ],
        autograph=False,
    )
    def raw(self, miles, hour, word):
        return {"predictions": (miles + tf.cast(hour, tf.float32) + tf.strings.to_number(word))[:, None]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")], autograph=False)
    def examples(self, examples):
        parsed = tf.io.parse_example(examples, {"miles": tf.io.FixedLenFeature([], tf.float32, 0.0)})
        return {"predictions": tf.one_hot(tf.cast(parsed["miles"], tf.int64), 3)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of artifacts of ``train``, by the signature that they have."""
    folder = tmp_path_factory.mktemp("models")
    made = Sum()
    for name, function in {"serving_raw": made.raw, "serving_default": made.examples, "other": made.raw}.items():
        tf.saved_model.save(made, str(folder / name / "Format-Serving"), signatures={name: function})
    return folder


@pytest.fixture
def infer(models, tmp_path):
    """Scores rows with a model made by hand; the facts and the rows by ``miles``."""

    def infer(rows, *, signature="serving_raw", task=None, classes=None, attempts=2, **more):
        (tmp_path / "examples" / "Split-train").mkdir(parents=True, exist_ok=True)
        pq.write_table(TRAINED, tmp_path / "examples" / "Split-train" / "data.parquet")
        (tmp_path / "examples" / "examples.json").write_text(json.dumps({"splits": {"train": {"rows": 2}}}))
        facts = {"label": "label", "task": task, "classes": classes}
        (tmp_path / "transform.json").write_text(json.dumps(facts))
        asked = fp.Pipeline("p")._rows_to_score(rows)
        if "max_rejected" in more:
            asked = replace(asked, max_rejected=more.pop("max_rejected"))
        given = {"to": tmp_path / "to", **more}
        step = Step(
            id="bulk_infer",
            model=Ref("train", Model),
            examples=Ref("from_csv", Examples),
            graph=Ref("preprocess", TransformGraph),
            source=asked,
            destination=str(given.pop("to")),
            **given,
        )
        shutil.rmtree(tmp_path / "staging", ignore_errors=True)
        component = BulkInfer(
            step,
            context(tmp_path / "staging", "bulk_infer"),
            Input("model", artifact=Model(models / signature, "", "train")),
            ExamplesInput("examples", artifact=Examples(tmp_path / "examples", "", "from_csv")),
            TransformGraphInput("graph", artifact=TransformGraph(tmp_path, "", "preprocess")),
        )
        component.prepare()
        facts = json.loads((run(component) / "predictions.json").read_text())
        assert json.loads(Path(step.destination, "predictions.json").read_text()) == facts
        return facts

    return infer


def table(facts) -> list[dict]:
    tables = [pq.read_table(Path(facts["destination"], file)) for file in facts["files"]]
    return sorted(pa.concat_tables(tables).to_pylist(), key=repr)


def rejected(facts) -> list[dict]:
    files = Path(facts["destination"], "rejected").glob("*.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def rows(count: int = 100, **columns) -> pa.Table:
    numbers = list(range(count))
    table = {"miles": [n + 0.5 for n in numbers], "hour": numbers, "word": list(map(str, numbers))}
    return pa.table({**table, **columns})


def test_a_text_file_is_read_by_the_types_of_the_training(infer, tmp_path):
    (tmp_path / "rows.csv").write_text("extra,word,hour,miles,seen\nx,1,,3,\ny,2,,4,\n")  # all whole or missing
    facts = infer(tmp_path / "rows.csv", keep=("miles", "extra", "word"))
    assert facts["columns"] == {"miles": "double", "extra": "string", "word": "string", "prediction": "float"}
    assert [r["extra"] for r in table(facts)] == ["x", "y"]


def test_rows_that_cannot_be_read_or_scored_lie_aside(infer, tmp_path):
    lines = [f"{n}.5,{n},{n}" for n in range(100)]
    lines[7], lines[30], lines[60] = "7.5,noon,7", "30.5,30,thirty", "ninety"
    (tmp_path / "rows.csv").write_text("\n".join(["miles,hour,word", *lines]) + "\n")
    facts = infer(tmp_path / "rows.csv", max_rejected=0.1)
    assert (facts["rows"], facts["failed"]) == (97, 3)
    assert [r["prediction"] for r in table(facts)] == [r["miles"] * 3 - 1 for r in table(facts)]
    reasons = {(r["line"], r["reason"]) for r in rejected(facts)}
    assert reasons == {
        (9, "column 'hour': 'noon' is not an integer"),
        (62, "1 fields, 3 expected"),
        (0, "StringToNumberOp could not correctly convert string: thirty"),
    }
    assert '{"miles":30.5,"hour":30,"word":"thirty"}' in {r["text"] for r in rejected(facts)}


def test_more_rows_aside_than_may_be_is_an_error_that_writes_nothing(infer, tmp_path):
    with pytest.raises(InputError, match=r"1 of 100 rows cannot be scored .* thirty"):
        infer(rows(word=[*"0" * 99, "thirty"]))
    with pytest.raises(InputError, match="At least 100 of at most 400 rows cannot be scored"):
        infer(rows(400, word=["x"] * 400))
    assert not (tmp_path / "to").exists()


def test_whole_numbers_with_missing_ones_fit_and_fractions_do_not(infer):
    hours = pa.array([1.0, None, 1.5, *[2.0] * 97])
    facts = infer(rows(hour=hours), max_rejected=0.5)
    assert facts["rows"] == 99
    assert "1.5" in rejected(facts)[0]["reason"]
    assert facts["columns"]["hour"] == "double", "what is kept is as it was"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"mile": [1.5]}, ["needs column 'miles'", "Did you mean 'mile'?"]),
        ({}, ["needs columns 'miles', 'hour', 'word'"]),
        ({"miles": ["1.5"], "hour": [1]}, ["needs column 'word'"]),
        ({"miles": ["1.5"], "hour": [1], "word": [""]}, ["'miles' is string here", "trained on double"]),
        ({"miles": [1.5], "hour": [1], "word": [1]}, ["'word' is int64 here", "trained on string"]),
        ({"miles": [1.5], "hour": [1], "word": ["1"], "prediction": [1]}, ["have a column 'prediction'", "keep="]),
    ],
)
def test_columns_that_do_not_fit(infer, columns, words):
    if "mile" in columns:
        columns |= {"hour": [1], "word": ["1"]}
    with pytest.raises(InputError) as error:
        infer(pa.table({**columns, "other": [1]}))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_column_to_keep_that_is_not_there(infer):
    with pytest.raises(InputError, match=r"keep= names column 'mile'.* Did you mean 'miles'"):
        infer(rows(), keep=("mile",))


def test_a_model_that_takes_examples_alone(infer):
    facts = infer(
        pa.table({"miles": [0.0, 2.0]}), signature="serving_default", task="multiclass", classes=["a", "b", "c"]
    )
    assert table(facts) == [
        {"miles": 0.0, "prediction": "a", "probability": 1.0, "probabilities": [1.0, 0.0, 0.0]},
        {"miles": 2.0, "prediction": "c", "probability": 1.0, "probabilities": [0.0, 0.0, 1.0]},
    ]
    assert facts["classes"] == ["a", "b", "c"]


def test_a_model_without_a_serving_signature(infer):
    with pytest.raises(TrainingError, match=r"has no signature 'serving_default'. There are: other"):
        infer(rows(), signature="other")


def test_formats_hold_the_same(infer, tmp_path):
    told = {form: infer(rows(), format=form, to=tmp_path / form) for form in ("parquet", "csv", "jsonl", "tfrecord")}
    expected = table(told["parquet"])
    assert [r["prediction"] for r in expected] == [3 * r["hour"] + 0.5 for r in expected]
    files = {form: Path(facts["destination"], *facts["files"]) for form, facts in told.items()}
    assert [f.name.partition(".")[0] for f in files.values()] == ["predictions-00000-of-00001"] * 4
    lines = [json.loads(line) for line in files["jsonl"].read_text().splitlines()]
    assert sorted(lines, key=repr) == expected
    with files["csv"].open() as file:
        assert sorted(float(r["prediction"]) for r in csv.DictReader(file)) == [3 * n + 0.5 for n in range(100)]
    for record in tf.data.TFRecordDataset(str(files["tfrecord"]), "GZIP").as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
        features = tf.train.Example.FromString(log.request.inputs["examples"].string_val[0]).features.feature
        answer = tf.make_ndarray(log.response.outputs["predictions"])
        assert answer.shape == (1, 1)
        assert answer[0, 0] == 3 * features["hour"].int64_list.value[0] + 0.5


def test_earlier_predictions_are_replaced_and_nothing_else(infer, tmp_path):
    infer(rows())
    assert infer(rows(10))["rows"] == 10
    assert sorted(p.name for p in (tmp_path / "to").iterdir()) == [
        "predictions-00000-of-00001.parquet",
        "predictions.json",
    ]
    (tmp_path / "to" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds other things than predictions: notes\.txt"):
        infer(rows())
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        infer(rows(), to=tmp_path / "to" / "notes.txt" / "deeper")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_disk_that_is_full_leaves_the_earlier_predictions(infer, tmp_path, monkeypatch):
    infer(rows())
    before = json.loads((tmp_path / "to" / "predictions.json").read_text())
    real = Path.rename

    def rename(self, target):
        if ".incoming-" in Path(target).name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(StoreError, match=r"The disk is full\. Make room, then run again: only the scoring"):
        infer(rows(10))
    assert json.loads((tmp_path / "to" / "predictions.json").read_text()) == before


def test_the_folder_of_another_file_system_appears_whole_too(infer, tmp_path, monkeypatch):
    real = Path.rename

    def rename(self, target):
        if ".incoming-" in Path(target).name and "staging" in str(self):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert len(table(infer(rows()))) == 100


# In a chain


@pytest.fixture
def unlabelled(finished) -> pd.DataFrame:
    """The finished run's rows as they come in production: without a label, and with a column more."""
    frame = pd.read_csv(finished.csv)
    return frame.drop(columns="tipped").assign(number=range(len(frame)))


def test_predictions_are_those_of_the_model_and_are_cached_as_long_as_they_are_there(finished, unlabelled, tmp_path):
    pipeline = finished.pipeline.bulk_infer(unlabelled, to=tmp_path / "to", keep=["number"])
    first = pipeline.run(progress=False)
    assert first.state == "succeeded"
    assert "2,000 rows scored" in repr(first.predictions)
    scored = first.predictions.to_frame().sort_values("number")
    table = pa.Table.from_pandas(unlabelled, preserve_index=False).replace_schema_metadata()
    served = ServedModel(finished.run.model.serving).predict(table.combine_chunks().to_batches()[0])
    np.testing.assert_allclose(scored["prediction"], served, rtol=1e-5)

    assert pipeline.run(progress=False).timings.steps_run == ()
    shutil.rmtree(tmp_path / "to")
    with pytest.raises(StoreError, match="predictions are gone"):
        first.predictions.table()
    assert pipeline.run(progress=False).timings.steps_run == ("bulk_infer",)


def test_a_model_that_is_refused_does_not_score(finished, unlabelled, tmp_path):
    prefix = replace(finished.pipeline, steps=finished.pipeline.steps[:-2])
    chain = prefix.evaluate(require={"auc": fp.at_least(0.999)}).bulk_infer(unlabelled, to=tmp_path / "to")
    run = chain.run(progress=False)
    assert run.state == "not scored"
    assert not run.predictions
    assert "0.999" in run.predictions.reasons[0]
    assert "0.999" in repr(run.predictions)
    assert not (tmp_path / "to").exists()


def test_a_folder_in_use_is_refused_before_the_first_step(tmp_path, finished):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "notes.txt").write_text("mine")
    chain = replace(finished.pipeline, root=tmp_path / "root").bulk_infer(finished.csv, to=tmp_path / "to")
    with pytest.raises(StoreError, match=r"notes\.txt") as error:
        chain.run(progress=False)
    assert error.value.step == "bulk_infer"
    assert not list((tmp_path / "root" / "trips").glob("from_csv/*"))


def test_arguments(finished, tmp_path):
    pipeline = finished.pipeline
    assert pipeline.bulk_infer("a.parquet", to=tmp_path).steps[-1].source.call == "from_parquet"
    given = pipeline.bulk_infer(fp.Pipeline("rows").from_csv("a.txt", delimiter=";"), to="b", max_rejected=0.5)
    assert (given.steps[-1].source.delimiter, given.steps[-1].source.max_rejected) == (";", 0.5)
    with pytest.raises(ArgumentError, match="a Pipeline of one source"):
        pipeline.bulk_infer(pipeline, to=tmp_path)
    with pytest.raises(ArgumentError, match="format="):
        pipeline.bulk_infer("a.csv", to=tmp_path, format="xml")
    with pytest.raises(ArgumentError, match="An earlier bulk_infer"):
        pipeline.bulk_infer("a.csv", to=tmp_path).bulk_infer("b.csv", to=tmp_path)
