"""The runners that one suite runs on. A cluster starts with the first test that asks for it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import fluent_pipe as fp
from fluent_pipe.runners.base import Runner
from tests import needs
from tests.clusters import SPARK_SETTINGS, flink_cluster, spark_cluster, worker_pool


@contextmanager
def in_process(_: Path) -> Iterator[Runner]:
    yield fp.runners.Direct()


@contextmanager
def in_threads(_: Path) -> Iterator[Runner]:
    yield fp.runners.Direct(workers=2, mode="multi_threading")


@contextmanager
def embedded_flink(_: Path) -> Iterator[Runner]:
    needs.job_server("flink")
    yield fp.runners.Flink(parallelism=2)


@contextmanager
def embedded_spark(_: Path) -> Iterator[Runner]:
    needs.job_server("spark")
    yield fp.runners.Spark("local[2]")


@contextmanager
def standalone_flink(folder: Path) -> Iterator[Runner]:
    needs.flink_distribution()
    with flink_cluster(folder) as master, worker_pool(folder) as pool:
        yield fp.runners.Flink(master, worker_pool=pool, shared_disk=True, parallelism=2)


@contextmanager
def standalone_spark(folder: Path) -> Iterator[Runner]:
    needs.job_server("spark")
    with spark_cluster(folder) as master, worker_pool(folder) as pool:
        yield fp.runners.Spark(master, worker_pool=pool, shared_disk=True, parallelism=2, settings=SPARK_SETTINGS)


HERE: dict[str, Callable[[Path], AbstractContextManager[Runner]]] = {
    "direct": in_process,
    "direct threads": in_threads,
    "flink": embedded_flink,
    "spark": embedded_spark,
}
CLUSTERS: dict[str, Callable[[Path], AbstractContextManager[Runner]]] = {
    "flink cluster": standalone_flink,
    "spark cluster": standalone_spark,
}


def task_managers_by_vertex(master: str) -> dict[str, list[str]]:
    """For each vertex of the jobs of a Flink cluster, named by the steps in it: the task managers that got elements."""

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://{master}{path}", timeout=20) as answer:
            return json.load(answer)

    found: dict[str, list[str]] = {}
    for job in ask("/jobs")["jobs"]:
        for vertex in ask(f"/jobs/{job['id']}")["vertices"]:
            there = ask(f"/jobs/{job['id']}/vertices/{vertex['id']}/taskmanagers")["taskmanagers"]
            found[f"{job['id']} {vertex['name']}"] = [
                manager["taskmanager-id"] for manager in there if manager["metrics"]["read-records"]
            ]
    return found
