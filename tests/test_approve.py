"""A person decides: while the run waits, or while no process is there at all."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import fluent_pipe as fp
from fluent_pipe.cli import app
from fluent_pipe.errors import ArgumentError, Interrupted
from fluent_pipe.plan import group
from fluent_pipe.report.terminal import terminal_report
from fluent_pipe.store import approvals

FILE = """
from pathlib import Path
import fluent_pipe as fp
from tests.conftest import chain

pipeline = chain(Path({root!r}), Path({csv!r}), Path("serving"))
pipeline = fp.Pipeline("trips", root=pipeline.root, steps=pipeline.steps[:-1]).approve()
"""


@pytest.fixture
def judged(finished, tmp_path):
    """A chain up to a blessed model, which is cached, in a store of its own."""
    root = tmp_path / "root"
    shutil.copytree(finished.pipeline.root, root)
    return replace(finished.pipeline, root=root, steps=finished.pipeline.steps[:-1])


def command(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def when_asked(root, act):
    """Calls ``act`` with the run's id as soon as a run waits for approval."""

    def watch():
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for request in approvals.requests(root / "trips"):
                if request.decision is None and request.is_watched:
                    act(request.runs[-1])
                    return
            time.sleep(0.1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_nothing_shares_a_job_with_one_who_waits():
    data = fp.Pipeline("p").from_csv("a.csv").generate_statistics().infer_schema().preprocess(label="y").train()
    chain = data.generate_statistics().approve().push_to("serving")
    assert group(chain.steps)[-3:] == (("train", "generate_statistics_2"), ("approve",), ("push_to",))
    assert chain.steps[-1].approval.step == "approve"


def test_a_request_outlives_a_kill_and_an_approval_needs_no_process(judged, finished, tmp_path):
    file = tmp_path / "pipeline.py"
    file.write_text(FILE.format(root=str(judged.root), csv=str(finished.csv)))
    process = subprocess.Popen(
        [sys.executable, "-m", "fluent_pipe.cli", "run", str(file)], stderr=subprocess.PIPE, text=True
    )
    try:
        words = next(line for line in process.stderr if "waiting for approval" in line)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    run = words.split()[words.split().index("approve") + 1]
    assert f"--root {judged.root} [--reject] [--note TEXT]" in words
    assert "interrupted, waiting for approval" in command("runs", "--root", judged.root).stdout
    assert f"fluent-pipe approve {run}" in command("show", run, "--root", judged.root).stdout

    done = command("approve", run[:17], "--root", judged.root, "--by", "Ada", "--note", "as last week")
    assert "run the pipeline again" in done.stdout
    assert "waiting" not in command("runs", "--root", judged.root).stdout
    approved = judged.approve().run(progress=False)
    assert approved.approval
    assert (approved.approval.by, approved.approval.note) == ("Ada", "as last week")
    assert judged.approve().run(progress=False).timings.steps_run == ()


def test_a_run_waits_and_a_rejection_is_kept_until_it_is_asked_for_anew(judged, capfd):
    thread = when_asked(judged.root, lambda run: command("approve", run, "--reject", "--root", judged.root))
    run = judged.approve().run()
    thread.join()
    assert f"approve {run.id}" in capfd.readouterr().err
    assert not run.approval
    assert repr(run.approval).startswith("rejected by ")
    again = judged.approve().run(progress=False)
    assert not again.approval
    assert again.timings.steps_run == ()

    thread = when_asked(judged.root, lambda run: command("approve", run, "--root", judged.root))
    assert judged.approve().run(refresh="approve", progress=False).approval
    thread.join()


def test_ctrl_c_ends_the_wait_and_the_next_run_can_be_approved_in_place_of_it(judged):
    thread = when_asked(judged.root, lambda run: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        judged.approve().run(progress=False)
    thread.join()
    (request,) = approvals.requests(judged.root / "trips")
    (first,) = request.runs
    assert not list((judged.root / "trips" / "approve").glob("*"))

    thread = when_asked(judged.root, lambda run: command("approve", first, "--root", judged.root))
    assert judged.approve().run(progress=False).approval
    thread.join()


def test_what_is_not_blessed_is_not_waited_for(judged):
    strict = replace(judged, steps=judged.steps[:-1]).evaluate(require={"auc": fp.at_least(0.999)})
    run = strict.approve().run(progress=False)
    assert not run.approval
    assert repr(run.approval) == "not approved: not blessed: nothing to approve"
    assert approvals.requests(judged.root / "trips") == []


def test_a_run_that_is_not_to_wait_ends_and_the_next_one_goes_on(judged, capfd):
    chain = judged.approve(wait=False).generate_statistics(sample=0.5)
    waiting = chain.run()
    assert waiting.state == "waiting"
    assert [row["state"] for row in waiting.timings.rows()][-2:] == ["waiting", "waiting"]
    assert f"fluent-pipe approve {waiting.id}" in terminal_report(waiting)
    assert "waiting in" in capfd.readouterr().err
    assert "  waiting for approval  " in command("runs", "--root", judged.root).stdout
    assert command("approve", waiting.id, "--root", judged.root).exit_code == 0
    run = chain.run(progress=False)
    assert run.approval
    assert run.timings.steps_run == ("approve", "generate_statistics_2")


def test_what_cannot_be_decided_is_said(judged, finished, tmp_path):
    def refused(*arguments):
        return str(command("approve", *arguments, "--root", judged.root).exception)

    assert "There is no run '1999'" in refused("1999")
    assert f"The run {finished.run.id} waits for no approval." in refused(finished.run.id)
    assert "--by takes a name" in refused(finished.run.id, "--by", " ")
    request = approvals.Request.of(judged.root / "trips", "0123")
    request.ask(finished.run.id, step="approve", model=tmp_path)
    request.decide(approved=True, by="Ada")
    assert f"What {finished.run.id} waited for was decided already: approved by Ada at" in refused(finished.run.id)
    with pytest.raises(ArgumentError, match="decided already"):
        request.decide(approved=False, by="Bob")
