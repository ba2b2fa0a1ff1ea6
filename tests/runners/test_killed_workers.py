"""A part of a cluster is killed while a step is at work: the run ends in time, and the store is right."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import fluent_pipe as fp
from fluent_pipe.errors import RunnerError
from tests import trips
from tests.runners.places import standalone_flink
from tests.runners.waiting import wait_for

pytestmark = pytest.mark.slow

ENDS_WITHIN = 120
"""Seconds from the kill to the end of the run: Flink's heartbeats and the time that a busy machine takes."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    with standalone_flink(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def csv_files(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("csv")
    rows = [{"number": number, **trip} for number, trip in enumerate(trips.rows())]
    for file in range(4):
        trips.write(folder / f"trips-{file}.csv", rows[file::4])
    return str(folder / "trips-*.csv")


def waiting(marks: Path):
    """A filter that says which process it is called in, and waits until it may go on."""

    def keep(batch):
        (marks / str(os.getpid())).touch()
        end = time.monotonic() + ENDS_WITHIN
        while not (marks / "go").exists() and time.monotonic() < end:
            time.sleep(0.05)
        return batch["number"].is_valid()

    return keep


def a_worker(marks: Path) -> psutil.Process:
    return psutil.Process(int(next(mark.name for mark in marks.iterdir())))


def a_task_manager(_: Path) -> psutil.Process:
    return next(p for p in psutil.Process().children() if "taskmanager.resource-id=worker-0" in p.cmdline())


def pipeline(root: Path, csv_files: str, marks: Path) -> fp.Pipeline:
    source = fp.Pipeline("trips", root=root).from_csv(csv_files)
    return source.filter(waiting(marks)).generate_statistics().infer_schema()


def published(root: Path) -> list[Path]:
    """Results in the store; a worker that has not ended yet may write into hidden folders, which nobody reads."""
    return [p for p in root.glob("trips/[!.]*/*") if p.parent.name != "runs"]


@pytest.mark.parametrize("victim", [pytest.param(a_worker, marks=pytest.mark.long), a_task_manager])
def test_the_run_ends_in_time_and_the_next_one_is_right(
    victim: Callable[[Path], psutil.Process], runner, csv_files, tmp_path
):
    marks, root = tmp_path / "marks", tmp_path / "root"
    marks.mkdir()
    killed: list[float] = []

    def kill() -> None:
        wait_for(lambda: any(marks.iterdir()), seconds=120)
        killed.append(time.monotonic())
        victim(marks).send_signal(signal.SIGKILL)
        (marks / "go").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    chain = pipeline(root, csv_files, marks)
    with pytest.raises(RunnerError) as caught:
        chain.run(runner, progress=False)
    killer.join()
    assert time.monotonic() - killed[0] < ENDS_WITHIN
    assert "ended" in str(caught.value)
    assert published(root) == []

    run = chain.run(runner, progress=False)
    expected = pipeline(tmp_path / "here", csv_files, marks).run(fp.runners.Direct(), progress=False)
    for split in expected.statistics.splits:
        rows = run.examples.table(split).sort_by("number")
        assert rows.combine_chunks().equals(expected.examples.table(split).combine_chunks().sort_by("number"))
    assert run.schema.proto() == expected.schema.proto()
