"""The whole expression: from a CSV to a pushed model, in this process."""

import json
import logging
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import tensorflow as tf

import fluent_pipe as fp
from fluent_pipe.display.charts import inline
from fluent_pipe.errors import AnomaliesFound, ArgumentError, StepFailed, StoreError, UserCodeError
from tests import trips
from tests.conftest import chain


@pytest.fixture
def copy(finished, tmp_path):
    """The finished store in a place of its own, so that a test may run on."""
    root = tmp_path / "root"
    shutil.copytree(finished.pipeline.root, root)
    return replace(finished.pipeline, root=root)


def test_it_ends_in_a_pushed_model(finished):
    run = finished.run
    assert run.state == "succeeded"
    assert run.blessing
    assert run.pushed.destination == finished.serving / "1"
    model = tf.saved_model.load(str(run.pushed.destination))
    assert {"serving_default", "serving_raw", "transform_features"} <= set(model.signatures)


def test_every_result_reads_well(finished):
    run = finished.run
    assert {r["split"] for r in run.examples.rows()} == {"train", "eval"}
    assert sum(r["rows"] for r in run.examples.rows()) == 2000
    assert "miles" in repr(run.statistics)
    assert run.statistics.to_frame().set_index(["split", "column"]).loc[("train", "city"), "unique"] == 3
    assert "tipped" in repr(run.schema)
    assert repr(run.anomalies).startswith("✓ No anomalies.\n\nDrift was not measured")
    assert run.transform.to_frame().set_index("feature").loc["tipped", "role"] == "label"
    assert len(run.model.to_frame()) == 2
    assert run.evaluation.metrics["auc"] > 0.55
    assert run.evaluation.worst(1, at_least=10)[0]["auc"] <= run.evaluation.metrics["auc"]
    assert "no earlier blessed model" in run.blessing.note
    assert "pushed version 1" in repr(run.pushed)
    assert run.timings["train"] > 0
    assert list(run.timings.to_frame().columns) == ["step", "seconds", "state"]


def test_a_run_draws_itself_and_says_first_what_came_of_it(finished):
    run = finished.run
    assert re.match(rf"Run {run.id} of trips: succeeded\nauc 0\.\d+ · blessed · pushed as version 1 to ", repr(run))
    html = run.drawn(inline)
    assert "8 steps ran" in html
    assert html.count(">Beam job ") == 5
    assert pickle.loads(pickle.dumps(run)).drawn(inline) == html


def test_a_pushed_model_leads_back_to_the_csv(finished):
    found = finished.run.lineage
    assert found.of.startswith("trips/push_to/")
    steps = {"from_csv", "generate_statistics", "infer_schema", "preprocess", "train", "evaluate", "push_to"}
    assert {m.step for m in found.made} == steps  # not validate: nothing was made from what it found
    assert [(s.pattern, s.files, s.bytes) for s in found.sources] == [
        (str(finished.csv), 1, finished.csv.stat().st_size)
    ]


def test_a_result_that_was_not_asked_for_names_those_there_are(tmp_path):
    csv = trips.write(tmp_path / "trips.csv", trips.rows(100))
    run = fp.Pipeline("p", root=tmp_path / "root").from_csv(csv).run(progress=False)
    with pytest.raises(StepFailed, match=r"left no Model\. There are: Examples"):
        _ = run.model


def test_an_unchanged_pipeline_runs_nothing(finished):
    again = finished.pipeline.run(progress=False)
    assert {r["state"] for r in again.timings.rows()} == {"cached"}
    assert again.pushed.version == 1
    assert again.evaluation.path == finished.run.evaluation.path


def test_new_rows_begin_with_the_latest_blessed_model(copy, finished, tmp_path):
    of_bern = [{**trip, "city": "Bern"} for trip in trips.rows(600, seed=1)]
    csv = trips.write(tmp_path / "more.csv", trips.rows() + of_bern)
    begun = (
        fp.Pipeline("trips", root=copy.root)
        .from_csv(csv)
        .generate_statistics()
        .infer_schema()
        .preprocess(label="tipped")
        .train(batch_size=64, warm_start="latest_blessed")
        .evaluate(baseline=finished.run.id, require={"auc": fp.change_at_least(-0.5)})
    )
    run = begun.run(progress=False)
    assert run.model.warm_start["from"] == finished.run.model.path.name
    assert run.model.warm_start["mapped"]["city"] == {"kept": 3, "new": 1, "gone": 0}
    assert "city: 3 words kept, 1 words new, 0 words gone" in repr(run.model)
    assert run.model.rows()[0]["auc"] > finished.run.model.rows()[0]["auc"] + 0.1, "it does not begin at random"
    assert run.evaluation.artifact.facts()["baseline"].endswith(finished.run.model.path.name)
    assert begun.run(progress=False).timings.steps_run == ()


def test_a_run_to_compare_with_that_is_not_there_is_said_before_any_work(copy):
    start = copy.steps.index(next(s for s in copy.steps if s.id == "evaluate"))
    judged = replace(copy, steps=copy.steps[:start]).evaluate(baseline="20200101-000000-00000000")
    with pytest.raises(ArgumentError, match=r"There is no run '20200101-000000-00000000'\. There are: \d{8}-"):
        judged.run(progress=False)


def test_an_unchanged_pipeline_loads_nothing_heavy(finished):
    code = f"""
        import sys
        from pathlib import Path
        from tests.conftest import chain
        p = chain(Path({str(finished.pipeline.root)!r}), Path({str(finished.csv)!r}), Path({str(finished.serving)!r}))
        run = p.run(progress=False)
        from fluent_pipe.report.terminal import terminal_report
        assert "auc overall" in terminal_report(run)
        print([m for m in ("tensorflow", "apache_beam", "pandas", "pyarrow", "keras") if m in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_change_in_training_leaves_what_lies_before(copy, tmp_path):
    steps = list(copy.steps)
    train = next(i for i, s in enumerate(steps) if s.id == "train")
    steps[train] = replace(steps[train], epochs=1)
    steps[-1] = replace(steps[-1], destination=str(tmp_path / "serving"))
    run = replace(copy, steps=tuple(steps)).run(progress=False)
    states = {r["step"]: r["state"] for r in run.timings.rows()}
    assert [s for s, state in states.items() if state == "ran"] == ["train", "evaluate", "push_to"]
    assert run.blessing.artifact.facts()["baseline"] is not None
    assert run.pushed.version == 1
    plan = {p.step.id: p.state for p in replace(copy, steps=tuple(steps)).plan().steps}
    assert set(plan.values()) == {"cached"}


def test_refresh_runs_a_step_although_it_is_cached(copy):
    run = copy.run(refresh="validate", progress=False)
    assert [r["step"] for r in run.timings.rows() if r["state"] == "ran"] == ["validate"]


def test_a_pushed_version_that_is_gone_is_pushed_again(finished, tmp_path):
    serving = tmp_path / "elsewhere"
    pipeline = chain(finished.pipeline.root, finished.csv, serving)
    assert pipeline.run(progress=False).pushed.version == 1
    shutil.rmtree(serving)
    assert pipeline.run(progress=False).pushed.destination.is_dir()
    (serving / "7").mkdir()  # another model since: what is served is the highest version
    assert pipeline.run(progress=False).pushed.version == 8


def test_a_model_that_is_not_blessed_is_not_pushed(copy, tmp_path, capsys):
    prefix = replace(copy, steps=copy.steps[:-2])
    pipeline = prefix.evaluate(require={"auc": fp.at_least(0.999)}).push_to(tmp_path / "refused")
    refused = pipeline.run(progress=False)
    assert refused.state == "not pushed"
    assert not (tmp_path / "refused").exists()
    assert "auc" in refused.pushed.reasons[0]
    assert "0.999" in refused.pushed.reasons[0]
    assert not refused.blessing
    pipeline.show(progress=False)
    assert refused.pushed.reasons[0] in capsys.readouterr().out


def test_a_model_that_serves_badly_is_not_pushed_and_is_asked_again(copy, tmp_path):
    prefix = replace(copy, steps=copy.steps[:-1])
    limits = {"max_load_seconds": 1e-6, "max_latency_ms": 1e-3, "max_memory_mb": 1}
    refused = prefix.infra_validate(**limits).push_to(tmp_path / "serving")
    run = refused.run(progress=False)
    assert run.state == "not pushed"
    assert run.pushed.reasons == run.infra.reasons
    assert [next(name for name in limits if f"({name})" in reason) for reason in run.infra.reasons] == [*limits]
    assert run.infra.memory_mb > 50, "what was measured is told"
    assert not (tmp_path / "serving").exists()
    assert {p.step.id: p.state for p in refused.plan().steps}["infra_validate"] == "run", "it may have been busy"

    pipeline = prefix.infra_validate(max_load_seconds=60, max_latency_ms=5000).push_to(tmp_path / "serving")
    run = pipeline.run(progress=False)
    assert run.state == "succeeded"
    assert run.infra
    assert (run.pushed.destination / "assets.extra" / "tf_serving_warmup_requests").is_file()
    assert {p.state for p in pipeline.plan().steps} == {"cached"}


def test_drift_against_the_last_run_on_other_data_ends_the_run(copy, tmp_path):
    shifted = [{**t, "miles": round(t["miles"] * 9 + 40, 3)} for t in trips.rows(seed=8)]
    csv = trips.write(tmp_path / "shifted.csv", shifted)
    pipeline = chain(copy.root, csv, tmp_path / "serving")
    with pytest.raises(AnomaliesFound) as error:
        pipeline.run(progress=False)
    assert "miles" in str(error.value)
    assert error.value.step == "validate"
    assert not (tmp_path / "serving").exists()
    plan = {p.step.id: p.state for p in pipeline.plan().steps}
    assert plan["generate_statistics"] == "cached"
    assert plan["preprocess"] == "run"


def test_a_failed_step_leaves_the_finished_ones_cached(copy):
    def build_model(data, hp):
        raise RuntimeError("out of ideas")

    prefix = replace(copy, steps=copy.steps[:-3])
    with pytest.raises(UserCodeError) as error:
        prefix.train(build_model).run(progress=False)
    text = str(error.value)
    assert "out of ideas" in text
    assert "test_chain.py" in text
    assert error.value.step == "train"
    assert {p.state for p in prefix.plan().steps} == {"cached"}
    assert not list((copy.root / "trips" / ".staging").glob("[!.]*"))


def test_the_terminal_stays_quiet_and_the_log_is_full(tmp_path, capfd):
    csv = trips.write(tmp_path / "trips.csv", trips.rows(300))
    run = fp.Pipeline("p", root=tmp_path / "root").from_csv(csv).generate_statistics().run()
    said = capfd.readouterr()
    assert said.out == ""
    ended = [line for line in said.err.splitlines() if " running " not in line]  # as a slow machine says now and then
    assert len(ended) <= 4
    assert "from_csv" in said.err
    assert (run.folder / "log.txt").exists()
    assert logging.getLogger().level != logging.DEBUG


def test_a_root_that_cannot_be_written_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    csv = trips.write(tmp_path / "trips.csv", trips.rows(10))
    with pytest.raises(StoreError, match="file"):
        fp.Pipeline("p", root=tmp_path / "file").from_csv(csv).run(progress=False)


def test_a_store_of_a_newer_version_is_left_alone(copy):
    marker = copy.root / "layout.json"
    marker.write_text(json.dumps({"layout": 999}))
    with pytest.raises(StoreError, match="999"):
        copy.run(progress=False)
    assert json.loads(marker.read_text()) == {"layout": 999}


def test_a_step_without_cache_runs_every_time(copy):
    steps = tuple(replace(s, cached=False) if s.id == "infer_schema" else s for s in copy.steps)
    run = replace(copy, steps=steps).run(progress=False)
    # validate reads the schema in the same Beam job; preprocess, in the next one, sees that it is as before.
    assert [r["step"] for r in run.timings.rows() if r["state"] == "ran"] == ["infer_schema", "validate"]


def test_a_changed_function_is_another_key_and_a_comment_is_not(copy):
    prefix = replace(copy, steps=copy.steps[:3])

    def state(source):
        scope = {}
        exec(source, scope)
        curated = prefix.curate_schema(scope["curate"])
        before = curated.plan().steps[-1].state
        curated.run(progress=False)
        return before

    assert state("def curate(schema):\n    return schema\n") == "run"
    assert state("# a comment\n\ndef curate(schema):\n    return schema  # another\n") == "cached"
    assert state("def curate(schema):\n    schema.feature[0].name\n    return schema\n") == "run"
