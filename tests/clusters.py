"""Real clusters on loopback for the tests: standalone Flink and Spark, Beam worker pools. All end with the block."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from fluent_pipe.runners import jars, java
from fluent_pipe.runners.job_server import QUICK

MEGABYTE = 1 << 20
START_SECONDS = 90


@contextmanager
def process(command: list[str], log: Path, **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its own session, ended, with all it started, when the block ends."""
    with log.open("ab") as out:
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **more
        )
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(ready: Callable[[], bool], what: str, log: Path) -> None:
    """Wait until it is so."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with suppress(OSError, ValueError, KeyError):
            if ready():
                return
        time.sleep(0.1)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise TimeoutError(f"{what} did not come up in {START_SECONDS} s: {said}")


def answers(port: int) -> bool:
    """Whether something listens there."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


@contextmanager
def worker_pool(folder: Path) -> Iterator[str]:
    """A Beam worker pool as a process of its own, whose workers are processes."""
    port = free_port()
    log = folder / "pool.txt"
    command = [sys.executable, "-m", "fluent_pipe.cli", "worker-pool", "--port", str(port)]
    with process(command, log):
        until(lambda: answers(port), "The worker pool", log)
        yield f"localhost:{port}"


def flink_jars() -> Path | None:
    """The folder of a whole Flink distribution's jars, in the package apache-flink-libraries; None without it."""
    found = find_spec("pyflink")
    return None if found is None or not found.submodule_search_locations else Path(
        next(iter(found.submodule_search_locations)), "lib"
    )  # fmt: skip


@contextmanager
def flink_cluster(folder: Path, *, task_managers: int = 2, slots: int = 2) -> Iterator[str]:
    """A standalone Flink cluster; ``host:port`` of its job manager."""
    libraries = flink_jars()
    assert libraries is not None, "apache-flink-libraries is not installed"
    ports = {name: free_port() for name in ("rest", "rpc", "blob")}
    settings: dict[str, object] = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": ports["rpc"],
        "jobmanager.bind-host": "localhost",
        "rest.address": "localhost",
        "rest.bind-address": "localhost",
        "rest.port": ports["rest"],
        "blob.server.port": ports["blob"],
        "taskmanager.bind-host": "localhost",
        "taskmanager.host": "localhost",
        "taskmanager.numberOfTaskSlots": slots,
        # Else the first task manager gets all the work that it has slots for.
        "cluster.evenly-spread-out-slots": "true",
        "parallelism.default": task_managers * slots,
        "heartbeat.timeout": 15000,
        "restart-strategy.type": "none",
        # Started without Flink's shell scripts, a task manager wants every part of its memory.
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.memory.task.heap.size": f"{512 * MEGABYTE}b",
        "taskmanager.memory.task.off-heap.size": "0b",
        "taskmanager.memory.network.min": f"{256 * MEGABYTE}b",
        "taskmanager.memory.network.max": f"{256 * MEGABYTE}b",
        # 512 for each of the many results of TFT's analysis are more than any network memory holds.
        "taskmanager.network.sort-shuffle.min-buffers": 16,
        "taskmanager.memory.managed.size": f"{256 * MEGABYTE}b",
        "taskmanager.memory.framework.heap.size": f"{128 * MEGABYTE}b",
        "taskmanager.memory.framework.off-heap.size": f"{128 * MEGABYTE}b",
        "taskmanager.memory.jvm-metaspace.size": f"{512 * MEGABYTE}b",
        "taskmanager.memory.jvm-overhead.min": f"{128 * MEGABYTE}b",
        "taskmanager.memory.jvm-overhead.max": f"{128 * MEGABYTE}b",
        "io.tmp.dirs": str(folder / "tmp"),
    }
    (folder / "tmp").mkdir(parents=True)
    conf = folder / "conf"
    conf.mkdir()
    (conf / "flink-conf.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    (conf / "log4j.properties").write_text(
        "rootLogger.level = WARN\nrootLogger.appenderRef.out.ref = Out\nappender.out.name = Out\n"
        "appender.out.type = CONSOLE\nappender.out.layout.type = PatternLayout\n"
    )
    found = java.find()
    command = [
        str(found.path),
        *found.opening(),
        *QUICK,
        f"-Dlog4j.configurationFile={conf / 'log4j.properties'}",
        "-cp",
        f"{libraries}/*",
    ]
    manager = [*command, "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"]
    worker = [*command, "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"]
    with ExitStack() as started:
        log = folder / "job-manager.txt"
        started.enter_context(process([*manager, "--configDir", str(conf)], log))
        for number in range(task_managers):
            place = ["-D", f"taskmanager.resource-id=worker-{number}"]
            started.enter_context(
                process([*worker, "--configDir", str(conf), *place], folder / f"task-manager-{number}.txt")
            )

        def ready() -> bool:
            with urllib.request.urlopen(f"http://localhost:{ports['rest']}/overview", timeout=2) as answer:
                return int(json.load(answer)["taskmanagers"]) == task_managers

        until(ready, "The Flink cluster", log)
        yield f"localhost:{ports['rest']}"


@contextmanager
def spark_cluster(folder: Path, *, workers: int = 2) -> Iterator[str]:
    """A standalone Spark cluster, of the classes in Beam's job server; ``spark://`` URL of its master.

    Spark's workers start executors as its own scripts do: they look for a Spark at home, a folder ``jars``, and for
    its Scala version. Without either each executor fails at once with "Cannot find any build directories", and after
    ten of them the master removes the application.
    """
    jar = jars.look("spark").jar
    assert jar is not None, "there is no job server for Spark"
    home = folder / "spark"
    (home / "jars").mkdir(parents=True)
    (home / "jars/job-server.jar").symlink_to(jar)
    found = java.find()
    environment = {
        **os.environ,
        "JAVA_HOME": str(found.path.resolve().parents[1]),
        "SPARK_HOME": str(home),
        "SPARK_SCALA_VERSION": "2.12",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARK_NO_DAEMONIZE": "1",
    }
    command = [str(found.path), *found.opening(), *QUICK, "-Xmx256m", "-cp", str(jar)]
    place = ["--host", "127.0.0.1", "--port"]
    port = free_port()
    with ExitStack() as started:
        log = folder / "master.txt"
        master = [*command, "org.apache.spark.deploy.master.Master", *place, str(port), "--webui-port"]
        web = free_port()
        started.enter_context(process([*master, str(web)], log, env=environment))
        until(lambda: answers(port), "The Spark master", log)
        worker = [*command, "org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "1g", *place]
        for number in range(workers):
            own = [str(free_port()), "--webui-port", str(free_port()), "--work-dir", str(folder / f"work-{number}")]
            started.enter_context(
                process([*worker, *own, f"spark://127.0.0.1:{port}"], folder / f"worker-{number}.txt", env=environment)
            )

        def ready() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{web}/json/", timeout=2) as answer:
                return int(json.load(answer)["aliveworkers"]) == workers

        until(ready, "The Spark cluster", log)
        yield f"spark://127.0.0.1:{port}"


SPARK_SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.executor.memory": "768m",
}
"""For jobs on :func:`spark_cluster`: all on loopback, and no more than its workers have."""
