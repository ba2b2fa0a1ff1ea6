"""tune() in a chain: train takes its best up, and a search that is stopped or killed goes on with what was finished."""

import json
import os
import shutil
import signal

import pytest

import fluent_pipe as fp
from tests.test_stopping import published, start, wait_for

FILE = """
import fluent_pipe as fp

SEED = 0
pipeline = (
    fp.Pipeline("trips").from_csv({csv!r}).generate_statistics().infer_schema().preprocess(label="tipped")
    .tune(objective="val_auc", trials=4, epochs=2, batch_size=64, parallel=2, seed=SEED).train(batch_size=64)
)
"""


@pytest.fixture
def folder(finished, tmp_path):
    """A pipeline whose steps before tune() are done."""
    shutil.copytree(finished.pipeline.root, tmp_path / "root")
    (tmp_path / "pipeline.py").write_text(FILE.format(csv=str(finished.csv)))
    return tmp_path


def trials(folder):
    return {f.stem: json.loads(f.read_text()) for f in (folder / "root/trips/.resume").glob("*/trials/?.json")}


def test_train_takes_up_the_best_and_a_file_wins_over_it(finished, tmp_path):
    shutil.copytree(finished.pipeline.root, tmp_path / "root")
    ready = (
        fp.Pipeline("trips", root=tmp_path / "root").from_csv(finished.csv).generate_statistics().infer_schema()
        .preprocess(label="tipped").tune(objective="val_auc", trials=2, batch_size=64)
    )  # fmt: skip
    run = ready.train(batch_size=64).run(progress=False)
    assert run.timings["tune"] > 0
    assert len(run.trials.to_frame()) == 2
    assert run.model.artifact.facts()["hyperparameters"] == run.trials.best
    best = max(trial["score"] for trial in run.trials.rows())
    assert run.model.rows()[0]["val_auc"] == pytest.approx(best), "the same seed and values give the same model"
    assert not list((tmp_path / "root/trips/.resume").iterdir())

    file = tmp_path / "best.txt"
    file.write_text(json.dumps({"space": [], "values": {"units": 32}}))
    run = ready.with_hyperparameters(file).train(batch_size=64).run(progress=False)
    assert "tune" not in run.timings.steps_run
    assert run.model.artifact.facts()["hyperparameters"]["units"] == 32


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"objective": "val_profit"}, "cannot be told from its name. Give direction="),
        ({"objective": ""}, "objective= takes the name of a metric"),
        ({"direction": "up"}, "direction= got 'up'"),
        ({"algorithm": "bayes"}, "Did you mean 'bayesian'"),
        ({"algorithm": "hyperband", "epochs": 2}, "epochs=2 leaves none to give"),
        ({"trials": 0}, "trials= is a whole number of at least 1"),
    ],
)
def test_what_cannot_be_searched_is_refused_at_the_call(finished, asked, said):
    with pytest.raises(fp.FluentPipeError) as caught:
        finished.pipeline.tune(**asked)
    assert said in str(caught.value)


def test_an_objective_on_a_split_that_is_not_there_is_refused_at_the_call():
    alone = fp.Pipeline("p").from_csv("a.csv", splits={"train": 1}).generate_statistics().infer_schema()
    with pytest.raises(fp.FluentPipeError, match=r"one split alone.*tune for 'loss'"):
        alone.preprocess(label="a").tune()
    assert alone.preprocess(label="a").tune(objective="loss", direction=None)


@pytest.mark.slow
def test_a_search_goes_on_after_ctrl_c_and_after_a_kill(folder):
    process = start(folder)
    wait_for(process, lambda: len(trials(folder)) == 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err + out
    before = trials(folder)
    assert before

    process = start(folder)
    wait_for(process, lambda: len(trials(folder)) == 3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not published(folder, "tune")
    finished_trials = trials(folder)
    assert finished_trials.items() >= before.items()

    process = start(folder)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert not list((folder / "root/trips/.resume").iterdir())
    told = json.loads((published(folder, "tune")[0] / "trials.json").read_text())["trials"]
    assert len(told) == 4
    for trial in told:
        if trial["id"] in finished_trials:
            assert trial["seconds"] == finished_trials[trial["id"]]["seconds"], "it was taken as it was"

    process = start(folder, "--refresh", "tune")
    process.communicate(timeout=240)
    anew = json.loads((published(folder, "tune")[1] / "trials.json").read_text())["trials"]
    assert [t["score"] for t in anew] == [t["score"] for t in told], "as if it had never been stopped"
    assert [t["seconds"] for t in anew] != [t["seconds"] for t in told]
