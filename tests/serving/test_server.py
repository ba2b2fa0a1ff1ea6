"""The server as a process: ``fluent-pipe serve``, and ``python -m fluent_pipe.serving`` for other processes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

ROW = {"city": "Graz", "hour": 20, "miles": 4.5, "fare": 12.0, "company": None}
SERVE = [sys.executable, "-m", "fluent_pipe.cli", "serve"]
BARE = [sys.executable, "-m", "fluent_pipe.serving"]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
    return value


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """A copy of what was pushed, to change."""
    folder = tmp_path_factory.mktemp("served") / "trips"
    shutil.copytree(finished.serving / "1", folder / "1")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    """``fluent-pipe serve`` at work: the process, its first lines, and the URL of the model."""
    process = subprocess.Popen(
        [*SERVE, str(folder), "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        lines = [process.stdout.readline(), process.stdout.readline()]
        yield process, lines, re.search(r"http\S+/v1/models/trips", lines[0]).group()
    finally:
        process.kill()
        process.communicate()


def test_it_says_where_it_listens_and_how_to_ask(server):
    _, (where, how), url = server
    assert where == f"Serving version 1 of trips at {url}; Ctrl-C ends it. Try:\n"
    curl, option, body, asked = shlex.split(how)
    assert (curl, option, asked) == ("curl", "-d", f"{url}:predict")
    answer = httpx.post(asked, content=body)
    assert answer.status_code == 200
    assert 0 < answer.json()["predictions"][0][0] < 1


def test_a_new_version_is_taken_up_without_dropping_a_request(server, folder):
    url, stop, statuses = server[2], threading.Event(), []

    def ask():
        with httpx.Client() as client:
            while not stop.is_set():
                statuses.append(client.post(f"{url}:predict", json={"instances": [ROW]}).status_code)

    def states():
        found = httpx.get(url).json()["model_version_status"]
        return {each["version"]: each["state"] for each in found}

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            shutil.copytree(folder / "1", folder / ".incoming")
            (folder / ".incoming").rename(folder / "2")
            wait_for(lambda: states() == {"2": "AVAILABLE"})
            (folder / "3").mkdir()
            (folder / "3" / "saved_model.pb").write_bytes(b"not a model")
            wait_for(lambda: states() == {"3": "END", "2": "AVAILABLE"})
            shutil.rmtree(folder / "1")
            shutil.rmtree(folder / "3")
            wait_for(lambda: states() == {"2": "AVAILABLE"})
        finally:
            stop.set()
    assert [each.result() for each in asking] == [None] * 4
    assert set(statuses) == {200}
    assert "fluent_pipe_model_version" in httpx.get(url.split("/v1/")[0] + "/metrics").text


def test_a_port_that_is_taken_is_an_error(server, folder):
    port = httpx.URL(server[2]).port
    done = subprocess.run([*SERVE, str(folder), "--port", str(port)], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: The port cannot be had: Address already in use. Give another --port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("place", "options", "code", "said"),
    [
        ("empty", [], 1, "empty: The folder holds no model. Give a SavedModel"),
        ("nowhere", [], 1, "nowhere: The folder cannot be read: No such file or directory."),
        ("empty", ["--name", "a/b"], 2, "cannot be named 'a/b'"),
        ("empty", ["--port", "99999"], 2, "65535"),
    ],
)
def test_what_cannot_be_served_is_an_error(tmp_path, place, options, code, said):
    (tmp_path / "empty").mkdir()
    done = subprocess.run([*SERVE, str(tmp_path / place), *options], capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_answers_what_is_under_way(server):
    """The last test of this server."""
    process, _, url = server
    place = httpx.URL(url)
    body = json.dumps({"instances": [ROW] * 1000}).encode()
    head = f"POST {place.path}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((place.host, place.port)) as connection:
        connection.sendall(head.encode() + body[:100])
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        connection.sendall(body[100:])
        with connection.makefile("rb") as answer:
            assert b"200 OK" in answer.readline()
            assert answer.read().count(b"[0.") == 1000
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert "version 2 answers" in err
    assert "version 3 does not load; version 2 stays" in err


def test_a_process_starts_it_asks_and_ends_it(finished, tmp_path):
    ready = tmp_path / "ready.json"
    command = [*BARE, "--folder", str(finished.serving / "1"), "--name", "any", "--ready-file", str(ready)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: ready.exists() or process.poll() is not None)
            facts = json.loads(ready.read_text())
            assert (facts["pid"], facts["version"]) == (process.pid, 1)
            assert facts["load_seconds"] > 0
            url = f"http://127.0.0.1:{facts['port']}/v1/models/any"
            assert httpx.post(f"{url}:predict", json={"instances": [ROW]}).status_code == 200
        finally:
            process.terminate()
        assert process.wait(timeout=5) == -signal.SIGTERM


def test_a_model_that_does_not_load_ends_it_with_a_reason(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"not a model")
    done = subprocess.run([*BARE, "--folder", str(tmp_path), "--name", "any"], capture_output=True, text=True)
    assert done.returncode == 3
    assert "The SavedModel does not load: Cannot parse file" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_it_ends_with_the_process_that_started_it(finished):
    command = [*BARE, "--folder", str(finished.serving), "--name", "any"]
    start = f"import subprocess, sys; print(subprocess.Popen({command!r}).pid, flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", start], text=True, **pipes) as one:
        server = psutil.Process(int(one.stdout.readline()))
        wait_for(lambda: server.num_threads() > 1)  # it watches
        one.kill()
    wait_for(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, seconds=30)
