"""A Beam worker pool: starts the workers that a runner asks for, in this process or as processes of their own.

Beam's own (``apache_beam.runners.worker.worker_pool_main``) listens on every address of the machine, takes whatever
``python`` comes first in the path, and never reads what its workers print. This one speaks the same protocol.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import grpc
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

from fluent_pipe import progress
from fluent_pipe.runners.staged_packages import install

log = logging.getLogger(__name__)

STATE_CACHE_BYTES = 100 << 20
"""As Beam's own workers have by default: side inputs that are asked for again need no second transfer."""
END_SECONDS = 5.0
WORKER = (sys.executable, "-m", "fluent_pipe.runners.worker")


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Starts and stops workers.

    Parameters
    ----------
    processes
        Whether each worker is a process of its own; else it is a thread of this one, which shares the libraries that
        are loaded and is where progress is told.
    log
        File that worker processes write to, in a folder that exists; None for nowhere.
    packages
        Whether worker processes install what a job brings along, before all else.
    """

    def __init__(self, *, processes: bool, log: Path | None = None, packages: bool = False) -> None:
        self._as_processes = processes
        self._log = log
        self._packages = tempfile.TemporaryDirectory(prefix="fluent_pipe_workers_") if packages else None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        """Start a worker that gets its work from the runner's control service."""
        try:
            if self._as_processes:
                self._start_process(request)
            else:
                self._start_thread(request.worker_id, request.control_endpoint.url)
        except Exception as error:  # told to the runner, which ends the job with it
            return beam_fn_api_pb2.StartWorkerResponse(error=f"{type(error).__name__}: {error}")
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        """Every worker ends by itself when its runner hangs up, which it has done by now.

        Which one is meant is not sure: each task manager numbers its workers from one, so that several that share a
        pool ask for the same ids, and the request does not say whose worker it is.
        """
        return beam_fn_api_pb2.StopWorkerResponse()

    def stop(self) -> None:
        """End all workers."""
        with self._lock:
            processes, self._processes = self._processes, []
        for process in processes:
            _end(process)
        until = time.monotonic() + END_SECONDS
        for thread in self._threads:  # they end when the runner is gone
            thread.join(max(0.0, until - time.monotonic()))
        if self._packages:
            self._packages.cleanup()

    def _start_thread(self, worker_id: str, control: str) -> None:
        worker = harness(worker_id, control)

        def work() -> None:
            try:
                worker.run()
            except grpc.RpcError as error:  # the runner hung up, with its last job or because it died; the job tells
                log.info("Worker %s ends: %s", worker_id, error)

        thread = threading.Thread(name=f"worker {worker_id}", target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _start_process(self, request: Any) -> None:
        # A folder of its own: ids come again, at once from another task manager and later with the next job.
        site = install(request, Path(tempfile.mkdtemp(dir=self._packages.name))) if self._packages else None
        path = [str(site)] * (site is not None) + [folder for folder in sys.path if folder]
        reports, told = os.pipe()
        # Its standard input is a pipe from here: a worker whose pool is gone, killed even, reads its end and goes too.
        with self._log.open("ab") if self._log else nullcontext(subprocess.DEVNULL) as out:
            process = subprocess.Popen(
                [
                    *WORKER,
                    f"--id={request.worker_id}",
                    f"--control={request.control_endpoint.url}",
                    f"--reports={told}",
                ],
                stdin=subprocess.PIPE,
                pass_fds=(told,),
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            )
        os.close(told)
        threading.Thread(target=_relay, args=(reports,), daemon=True).start()
        with self._lock:
            self._processes = [*(p for p in self._processes if p.poll() is None), process]


@contextmanager
def serving(pool: WorkerPool, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve a pool for as long as the block lasts; its address.

    Parameters
    ----------
    host
        Address to listen on. Default: this machine alone.
    port
        0 for a free one.
    """
    options = [("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0)]
    server = grpc.server(shared_unbounded_instance(), options=options)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    bound = server.add_insecure_port(f"{host}:{port}")
    server.start()
    try:
        yield f"{host}:{bound}"
    finally:
        server.stop(1)
        pool.stop()


def harness(worker_id: str, control: str) -> Any:
    """A worker of Beam's, ready to ``run()``."""
    # It pickles again what it was sent. Its other library loses modules that were carried by value.
    pickler.set_library(pickler.USE_CLOUDPICKLE)
    return sdk_worker.SdkHarness(
        control, worker_id=worker_id, state_cache_size=STATE_CACHE_BYTES, data_buffer_time_limit_ms=0
    )


def _relay(reports: int) -> None:
    """Pass on what a worker process reports; at home in the driver's process, where it is shown."""
    with os.fdopen(reports, encoding="utf-8") as lines, suppress(ValueError):  # the last line of one that was killed
        for line in lines:
            progress.relay(*json.loads(line))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
