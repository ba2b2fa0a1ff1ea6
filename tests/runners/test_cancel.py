"""Ctrl-C in the middle of a job that Flink runs: the job is cancelled, nothing goes on, the next run resumes."""

import json
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from tests import clusters, trips

FILE = """
import time
from pathlib import Path

import fluent_pipe as fp
from fluent_pipe import progress

ROUNDS = 100_000


class Report(fp.Artifact):
    facts_file = "report.json"


@fp.component(outputs=Report)
def long(examples: fp.Examples, out: Path, *, ticks: str, rounds: int) -> None:
    for _ in range(rounds):
        progress.report("long", rows=1)
        with Path(ticks).open("a") as file:
            file.write(".")
        time.sleep(0.05)
    (out / "report.json").write_text("{}")


pipeline = (
    fp.Pipeline("trips").from_csv(str(Path("trips.csv").absolute())).generate_statistics()
    .apply(long(ticks=str(Path("ticks").absolute()), rounds=ROUNDS))
)
"""


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("flink_jar")]


@pytest.fixture
def folder(tmp_path):
    """A pipeline whose first job is quick and whose second takes for ever."""
    trips.write(tmp_path / "trips.csv", trips.rows(300))
    (tmp_path / "pipeline.py").write_text(FILE)
    return tmp_path


def start(folder, *options):
    command = [sys.executable, "-m", "fluent_pipe.cli", "run", "pipeline.py", "--root", str(folder / "root"), *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ticks(folder):
    file = folder / "ticks"
    return file.stat().st_size if file.exists() else 0


def wait_for(process, condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)


def stop(folder, process):
    """Press Ctrl-C in the long step; what was printed, once nothing that was started is left."""
    before = ticks(folder)
    wait_for(process, lambda: ticks(folder) > before + 10)
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert psutil.wait_procs(started, timeout=5)[1] == []
    assert "run again to go on" in printed
    assert "Traceback" not in printed
    assert not [p for p in (folder / "root/trips/.staging").glob("*") if p.is_dir()]
    assert not list((folder / "root/trips/long").glob("*"))
    return printed


def stands_still(folder, seconds=2.0):
    before = ticks(folder)
    time.sleep(seconds)
    return ticks(folder) == before


def finish(folder, *options):
    process = start(folder, "--set", "ROUNDS=1", *options)
    out, printed = process.communicate(timeout=240)
    assert process.returncode == 0, out + printed
    return printed


@pytest.mark.parametrize(
    "workers",
    [pytest.param([], id="threads"), pytest.param(["--processes", "2"], id="processes", marks=pytest.mark.long)],
)
def test_embedded(folder, workers):
    flink = ["--runner", "flink", "--parallelism", "2", *workers]
    printed = stop(folder, start(folder, *flink))
    assert "Cancelling the job on Flink [local]" in printed
    assert stands_still(folder)
    assert "generate_statistics  cached" in finish(folder, *flink)


def test_the_job_server_is_killed(folder):
    process = start(folder, "--runner", "flink", "--parallelism", "2")
    wait_for(process, lambda: ticks(folder) > 10)
    for server in [c for c in psutil.Process(process.pid).children(recursive=True) if c.name() == "java"]:
        server.kill()
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the job server ended in the middle of a job" in printed
    assert "Traceback" not in printed
    assert stands_still(folder)


def test_a_cluster(folder, tmp_path_factory, flink_distribution):
    place = tmp_path_factory.mktemp("cluster")
    with clusters.worker_pool(place) as pool, clusters.flink_cluster(place, task_managers=1) as master:
        process = start(folder, "--runner", "flink", "--master", master, "--worker-pool", pool, "--shared-disk")
        printed = stop(folder, process)
        assert f"Cancelling the job on Flink {master}" in printed
        states = [job["state"] for job in asked(master, "/jobs/overview")["jobs"]]
        assert sorted(states) == ["CANCELED", "FINISHED"]
        wait_for_stand_still(folder)


def wait_for_stand_still(folder, seconds=30):
    """The pool ends a worker a few seconds after its job."""
    end = time.monotonic() + seconds
    while not stands_still(folder, 1):
        assert time.monotonic() < end, "a worker goes on"


def asked(master, path):
    with urllib.request.urlopen(f"http://{master}{path}", timeout=10) as answer:
        return json.load(answer)
