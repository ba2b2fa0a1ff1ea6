"""Every call in one expression: tuned, proven servable, decided by a condition and by a person, pushed and used."""

import json

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

import fluent_pipe as fp
from fluent_pipe.cli import app
from tests import trips


class Count(fp.Artifact):
    """How many rows there are to train on."""

    facts_file = "count.json"


@fp.component(outputs=Count)
def count_rows(examples: fp.Examples, out) -> None:
    (out / "count.json").write_text(json.dumps({"rows": examples.facts()["splits"]["train"]["rows"]}))


def enough(run):
    return run.evaluation.metrics["auc"] > 0.5 and run.artifact(Count).facts()["rows"] > 100


def with_late(batch):
    import pyarrow as pa

    rows = pa.Table.from_batches([batch])
    return rows.append_column("late", pc.cast(pc.greater(rows["hour"], 17), pa.int64()))


def whole(tmp_path, seed=0):
    return (
        fp.Pipeline("trips", root=tmp_path / "root")
        .from_csv(tmp_path / "trips.csv")
        .filter(pc.field("miles") < 100)
        .map(with_late)
        .generate_statistics()
        .infer_schema()
        .validate()
        .apply(count_rows)
        .preprocess(label="tipped")
        .tune(objective="val_auc", trials=2, parallel=2, batch_size=64)
        .train(epochs=2, batch_size=64, seed=seed)
        .evaluate(slices=["city"], require={"auc": fp.at_least(0.55)})
        .infra_validate(max_load_seconds=60, max_latency_ms=5000, requests=20, concurrency=2)
        .when(enough)
        .approve(wait=False)
        .push_to(tmp_path / "serving")
        .bulk_infer(tmp_path / "to_score.csv", to=tmp_path / "predictions", keep=["city"])
    )


def decide(run, *words, root):
    done = CliRunner().invoke(app, ["approve", run.id, *words, "--by", "Ada", "--root", str(root)])
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_every_call_in_one_expression(tmp_path):
    trips.write(tmp_path / "trips.csv", trips.rows())
    to_score = [{**trip, "late": int(trip["hour"] > 17)} for trip in trips.rows(300, seed=8)]
    trips.write(tmp_path / "to_score.csv", [{k: v for k, v in t.items() if k != "tipped"} for t in to_score])
    pipeline = whole(tmp_path)

    asked = pipeline.run(progress=False)
    assert asked.state == "waiting"
    assert asked.trials.rows()[0]["state"] == "completed"
    assert asked.infra
    assert not (tmp_path / "serving").exists()

    decide(asked, root=pipeline.root)
    run = pipeline.run(progress=False)
    assert run.state == "succeeded"
    assert run.timings.steps_run == ("approve", "push_to", "bulk_infer")
    assert (run.pushed.destination / "assets.extra" / "tf_serving_warmup_requests").is_file()
    assert run.predictions.to_frame().columns.tolist() == ["city", "prediction"]
    assert len(run.predictions.to_frame()) == 300
    assert pipeline.run(progress=False).timings.steps_run == ()

    other = whole(tmp_path, seed=1)
    asked = other.run(progress=False)
    assert asked.state == "waiting"
    decide(asked, "--reject", "--note", "not on a Friday", root=pipeline.root)
    rejected = other.run(progress=False)
    assert rejected.state == "not pushed"
    assert rejected.pushed.reasons == ["The model was rejected by Ada: not on a Friday"]
    assert rejected.predictions.reasons == rejected.pushed.reasons
    assert [p.name for p in (tmp_path / "serving").iterdir()] == ["1"]
