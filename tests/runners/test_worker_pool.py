"""A worker pool that several task managers share: each numbers its workers from one."""

from __future__ import annotations

import socket
import time

import psutil
import pytest
from apache_beam.portability.api import beam_fn_api_pb2

from fluent_pipe.runners.worker_pool import WorkerPool


@pytest.fixture
def control():
    """Where a worker is kept waiting."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        yield f"localhost:{nobody.getsockname()[1]}"


@pytest.fixture
def pool():
    made = WorkerPool(processes=True)
    yield made
    made.stop()


def start(pool, worker_id, control):
    before = set(psutil.Process().children())
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id=worker_id)
    request.control_endpoint.url = control
    assert not pool.StartWorker(request, None).error
    (started,) = set(psutil.Process().children()) - before
    return started


def stop(pool, worker_id):
    pool.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=worker_id), None)


def test_a_worker_survives_that_another_of_its_id_is_started_and_stopped(pool, control):
    workers = [start(pool, "1-1", control) for _ in range(2)]
    stop(pool, "1-1")
    time.sleep(3)  # for a worker to see that the pipe from its pool is closed
    assert [w.status() == psutil.STATUS_ZOMBIE or not w.is_running() for w in workers] == [False, False]
    pool.stop()
    assert psutil.wait_procs(workers, timeout=5)[1] == []
