"""Ctrl-C and kill: nothing half-written is left or read, and the next run goes on after the last published step."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests import trips

FILE = """
import fluent_pipe as fp

EPOCHS = 100_000
pipeline = (
    fp.Pipeline("trips").from_csv("trips.csv").generate_statistics().infer_schema()
    .preprocess(label="tipped").train(epochs=EPOCHS, batch_size=16)
)
"""


@pytest.fixture
def folder(tmp_path):
    """A pipeline whose first job is quick and whose training takes for ever."""
    trips.write(tmp_path / "trips.csv", trips.rows(300))
    (tmp_path / "pipeline.py").write_text(FILE)
    return tmp_path


def start(folder, *options):
    command = [sys.executable, "-m", "fluent_pipe.cli", "run", "pipeline.py", "--root", "root", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)


def training(folder):
    return bool(list((folder / "root/trips/.staging").glob("*/train/logs/**/events*")))


def published(folder, step):
    return sorted((folder / "root/trips" / step).glob("*"))


def test_ctrl_c_stops_cleanly_and_a_kill_is_mended(folder):
    process = start(folder)
    wait_for(process, lambda: training(folder))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run again to go on" in err
    assert "Traceback" not in err + out
    assert len(published(folder, "preprocess")) == 1
    assert not published(folder, "train")
    assert not [p for p in (folder / "root/trips/.staging").glob("*") if p.is_dir()]

    process = start(folder)
    wait_for(process, lambda: training(folder))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    left = [p for p in (folder / "root/trips/.staging").glob("*") if p.is_dir()]
    assert left

    process = start(folder, "--set", "EPOCHS=1")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert len(published(folder, "preprocess")) == 1
    assert len(published(folder, "train")) == 1
    assert not [p for p in (folder / "root/trips/.staging").glob("*") if p.is_dir()]

    listed = subprocess.run(
        [sys.executable, "-m", "fluent_pipe.cli", "runs", "--root", "root"], cwd=folder, capture_output=True, text=True
    )
    states = [line.split()[2] for line in listed.stdout.splitlines()[1:]]
    assert states == ["succeeded", "interrupted", "interrupted"]
