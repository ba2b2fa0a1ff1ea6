"""The server's process: fresh, watched, and gone with the process that started it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.client import Client
from fluent_pipe.serving.process import ServerProcess
from tests import served_models

START = """
import sys, time
from pathlib import Path
from fluent_pipe.serving.process import ServerProcess

with ServerProcess(Path(sys.argv[1]), "miles", scratch=Path(sys.argv[2])) as server:
    print(server.pid, flush=True)
    time.sleep(100)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_answers_and_is_gone_after_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")  # the server is to see nothing of this process's own
    model = served_models.good(tmp_path)
    with ServerProcess(model.serving, "miles") as server:
        server.wait()
        with Client(server.url) as client:
            assert client.status() == "AVAILABLE"
            rows = [{"miles": 2.0}, {"miles": float("nan")}]
            assert client.predict(rows, signature="serving_raw") == [[0.5], [0.0]]
        server.check()
        assert server.memory_mb > 50
        family = [server.pid, *(p.pid for p in psutil.Process(server.pid).children(recursive=True))]
        place = Path(psutil.Process(server.pid).cwd()).parent
    assert not any(map(alive, family))
    assert not place.exists()


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "miles") as server, pytest.raises(ServingError, match="does not load in a fresh"):
        server.wait()


def test_a_process_that_dies_while_it_loads(tmp_path: Path) -> None:
    model = served_models.good(tmp_path)
    with ServerProcess(model.serving, "miles") as server:
        psutil.Process(server.pid).kill()
        with pytest.raises(ServingError, match=r"ended by SIGKILL while it loaded the model.* for want of memory"):
            server.wait()


def test_a_parent_that_is_killed_leaves_no_server(tmp_path: Path) -> None:
    model = served_models.hangs_when_loaded(tmp_path)
    command = [sys.executable, "-c", START, str(model.serving), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(5)  # by now the model is loading, for ever
        assert alive(pid)
        parent.kill()
    end = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < end, "the server outlived its parent"
        time.sleep(0.1)
