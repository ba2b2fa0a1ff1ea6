"""Workers that share no disk with the driver: what they leave is what workers of this machine leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import keras
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import fluent_pipe as fp
from fluent_pipe.artifacts import Examples, HyperParameters, TransformGraph
from fluent_pipe.errors import InputError, RunnerError, UserCodeError
from fluent_pipe.remote import put
from fluent_pipe.runners.direct import Direct
from tests import buckets, trips
from tests.elsewhere import Elsewhere


@pytest.fixture(scope="module", params=buckets.STORES)
def bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket with ``data/trips.csv``."""
    csv = trips.write(tmp_path_factory.mktemp("csv") / "trips.csv", trips.rows(600))
    with buckets.bucket(request.param) as url:
        put({f"{url}/data/trips.csv": csv})
        yield url


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(tmp_path / "driver"))
    (tmp_path / "driver").mkdir()
    return Elsewhere(tmp_path / "driver", tmp_path / "workers")


def s3_alone(bucket: str) -> None:
    if not bucket.startswith("s3"):
        pytest.skip("what it looks at is not the store's; one of them will do")


def examples(root: str | Path, source: str) -> fp.Pipeline:
    return fp.Pipeline("trips", root=root).from_csv(source)


def whole(root: str | Path, source: str, serving: str | Path, scored: str | Path) -> fp.Pipeline:
    """From rows to predictions."""
    return (
        examples(root, source)
        .generate_statistics()
        .infer_schema()
        .validate(drift=fp.jensen_shannon(0.2))
        .preprocess(label="tipped")
        .train(epochs=1, batch_size=64)
        .evaluate(slices=["city"], require={"auc": fp.at_least(0.1)})
        .infra_validate(requests=10, max_load_seconds=120)
        .push_to(serving)
        .bulk_infer(source, to=scored)
    )


@dataclass(frozen=True)
class Both:
    """The same expression on workers elsewhere and here."""

    there: fp.Run
    here: fp.Run
    url: str


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("both")
    csv = trips.write(folder / "trips.csv", trips.rows(600))
    with buckets.bucket("s3") as url, pytest.MonkeyPatch.context() as patch:
        put({f"{url}/data/trips.csv": csv})
        patch.setenv("FLUENT_PIPE_CACHE", str(folder / "driver"))
        (folder / "driver").mkdir()
        runner = Elsewhere(folder / "driver", folder / "workers")
        there = whole(f"{url}/root", f"{url}/data/*.csv", f"{url}/serving", f"{url}/scored")
        here = whole(folder / "root", str(csv), folder / "serving", folder / "scored")
        yield Both(there.run(runner=runner, progress=False), here.run(progress=False), url)


@pytest.mark.slow
def test_a_whole_chain_leaves_what_it_leaves_here(both: Both) -> None:
    there, here = both.there, both.here
    assert there.artifact(Examples).fingerprint == here.artifact(Examples).fingerprint
    assert there.statistics.rows() == here.statistics.rows()
    assert there.schema.rows() == here.schema.rows()
    assert there.artifact(TransformGraph).facts() == here.artifact(TransformGraph).facts()
    mine, theirs = (
        {str(s["slice"]): s["metrics"] for s in r.evaluation.artifact.facts()["slices"]} for r in (here, there)
    )
    assert mine.keys() == theirs.keys()
    assert all(theirs[name] == pytest.approx(mine[name], abs=1e-6) for name in mine)
    assert there.blessing.blessed == here.blessing.blessed


@pytest.mark.slow
def test_a_pushed_model_and_predictions_lie_on_the_store(both: Both) -> None:
    there, here = both.there, both.here
    assert there.pushed.destination == f"{both.url}/serving/1"
    assert "1/saved_model.pb" in buckets.names(f"{both.url}/serving")
    assert buckets.names(f"{both.url}/scored") == ["predictions-00000-of-00001.parquet", "predictions.json"]
    pd.testing.assert_frame_equal(there.predictions.to_frame(), here.predictions.to_frame(), atol=1e-6)


def test_rows_that_were_rejected_are_told_and_kept(bucket: str, elsewhere: Elsewhere) -> None:
    trip = trips.rows(50)
    put({f"{bucket}/bad/a.csv": trips.write(elsewhere.home / "a.csv", trip)})
    lines = (elsewhere.home / "a.csv").read_text()
    (elsewhere.home / "b.csv").write_text(lines + "one field\n")
    put({f"{bucket}/bad/b.csv": elsewhere.home / "b.csv"})
    pipeline = fp.Pipeline("trips", root=f"{bucket}/rejected")
    run = pipeline.from_csv(f"{bucket}/bad", max_rejected=0.1).run(runner=elsewhere, progress=False)
    assert run.examples.artifact.facts()["rejected"] == 1
    files = buckets.names(run.artifact(Examples).url)
    assert "rejected/rows-00000-of-00001.jsonl" in files
    assert not [name for name in files if "part-" in name or name.startswith(".")]
    with pytest.raises(InputError, match=r"b\.csv:52"):
        pipeline.from_csv(f"{bucket}/bad").run(runner=elsewhere, progress=False)


def test_tfrecord_files_lie_beside(bucket: str, elsewhere: Elsewhere) -> None:
    pipeline = fp.Pipeline("trips", root=f"{bucket}/records")
    source = pipeline.from_csv(f"{bucket}/data/trips.csv", examples_format="tfrecord")
    run = source.generate_statistics().run(runner=elsewhere, progress=False)
    files = buckets.names(run.artifact(Examples).url)
    assert {"Split-train/data_tfrecord-00000-of-00001.gz", "parquet/Split-train/data-00000-of-00001.parquet"} <= {
        *files
    }


def test_features_are_those_of_workers_here(bucket: str, elsewhere: Elsewhere, tmp_path: Path) -> None:
    def features(root: str | Path, source: str) -> fp.Pipeline:
        return examples(root, source).generate_statistics().infer_schema().preprocess(label="tipped")

    there = features(f"{bucket}/features", f"{bucket}/data").run(runner=elsewhere, progress=False)
    local = trips.write(tmp_path / "trips.csv", trips.rows(600))
    here = features(tmp_path / "root", str(local)).run(progress=False)
    mine, theirs = (run.artifact(TransformGraph) for run in (here, there))
    assert theirs.facts() == mine.facts()
    for name in ("city", "company"):
        vocabulary = f"transform_fn/assets/{name}"
        assert (theirs.path / vocabulary).read_bytes() == (mine.path / vocabulary).read_bytes()


@pytest.mark.long
def test_worker_processes_with_a_home_of_their_own(bucket: str, elsewhere: Elsewhere) -> None:
    s3_alone(bucket)

    def features(root: str) -> fp.Pipeline:
        rows = examples(root, f"{bucket}/data").filter(pc.field("miles") > 1)
        return rows.generate_statistics().infer_schema().preprocess(label="tipped")

    runner = Elsewhere(elsewhere.home, elsewhere.workers, Direct(mode="multi_processing", workers=2))
    there = features(f"{bucket}/processes").run(runner=runner, progress=False)
    here = features(f"{bucket}/alone").run(progress=False)
    assert there.statistics.rows() == here.statistics.rows()
    assert there.schema.rows() == here.schema.rows()
    assert there.artifact(TransformGraph).facts() == here.artifact(TransformGraph).facts()


def test_rows_in_memory_and_of_a_transform_reach_workers(bucket: str, elsewhere: Elsewhere) -> None:
    s3_alone(bucket)
    table = pa.table({"hour": [*range(200)], "miles": [n / 7 for n in range(200)]})
    of_table = fp.Pipeline("memory", root=f"{bucket}/memory").from_arrow(table)
    of_beam = fp.Pipeline("beam", root=f"{bucket}/memory").from_beam(beam.Create(table.to_pylist()), version="1")
    for pipeline in (of_table, of_beam):
        run = pipeline.run(runner=elsewhere, progress=False)
        assert sum(len(run.examples.table(split)) for split in ("train", "eval")) == 200
        assert not [name for name in buckets.names(run.artifact(Examples).url) if name.startswith(".")]


class Note(fp.Artifact):
    holds = ("note.txt",)


@fp.component(outputs=Note)
def count(examples: Examples, out: Path) -> None:
    (out / "note.txt").write_text(str(examples.facts()["splits"]["train"]["rows"]))


@fp.component(outputs=Note)
def forget(examples: Examples, out: Path) -> None:
    del examples, out


@fp.component(outputs=Note)
def build(pipeline: beam.Pipeline, examples: Examples, out: Path) -> None:
    del pipeline, examples, out


def test_components_of_ones_own(bucket: str, elsewhere: Elsewhere) -> None:
    s3_alone(bucket)
    rows = examples(f"{bucket}/own", f"{bucket}/data")
    run = rows.apply(count).run(runner=elsewhere, progress=False)
    assert int((run.artifact(Note).path / "note.txt").read_text()) > 300
    with pytest.raises(UserCodeError, match="left nothing"):
        rows.apply(forget).run(runner=elsewhere, progress=False)
    with pytest.raises(UserCodeError, match="do not share its disk"):
        rows.apply(build).run(runner=elsewhere, progress=False)


def batch_of_strings(batch: pa.RecordBatch) -> pa.RecordBatch:
    raise KeyError("no such trip")


def test_a_failure_on_a_worker_is_the_same_error(bucket: str, elsewhere: Elsewhere) -> None:
    chain = examples(f"{bucket}/failing", f"{bucket}/data").map(batch_of_strings)
    with pytest.raises(UserCodeError, match="no such trip") as there:
        chain.run(runner=elsewhere, progress=False)
    assert there.value.step == "map"


def model(data: fp.TrainingData, hp) -> keras.Model:
    inputs = data.inputs()
    numbers = keras.layers.Concatenate()([inputs[name] for name in data.numeric_features])
    hidden = keras.layers.Dense(hp.Choice("width", [2, 4]), activation="relu")(numbers)
    built = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    built.compile("adam", "binary_crossentropy", metrics=["AUC"])
    return built


def test_trials_come_back(bucket: str, elsewhere: Elsewhere) -> None:
    s3_alone(bucket)
    features = (
        examples(f"{bucket}/tuned", f"{bucket}/data").generate_statistics().infer_schema().preprocess(label="tipped")
    )
    tuned = features.tune(model, objective="val_loss", trials=3, epochs=3, algorithm="hyperband")
    run = tuned.run(runner=elsewhere, progress=False)
    found = run.artifact(HyperParameters)
    assert len(found.facts()["trials"]) >= 2
    assert {trial["state"] for trial in found.facts()["trials"]} == {"completed"}
    assert not [name for name in buckets.names(found.url) if name.startswith(".")]


@pytest.mark.parametrize("place", ["source", "serving", "scored"])
def test_a_place_on_this_machine_is_refused_before_anything_starts(
    bucket: str, elsewhere: Elsewhere, tmp_path: Path, place: str
) -> None:
    s3_alone(bucket)
    trips.write(tmp_path / "trips.csv", trips.rows(50))
    here = {"source": tmp_path / "trips.csv", "serving": tmp_path / "serving", "scored": tmp_path / "scored"}
    there = {"source": f"{bucket}/data", "serving": f"{bucket}/serving", "scored": f"{bucket}/scored"}
    places = {**there, place: str(here[place])}
    with pytest.raises(RunnerError, match="do not see its disk") as refused:
        whole(f"{bucket}/refused", **places).run(runner=elsewhere, progress=False)
    assert str(here[place]) in str(refused.value)
    assert not [name for name in buckets.names(f"{bucket}/refused") if name.endswith(".parquet")]
