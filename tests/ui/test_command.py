"""``fluent-pipe ui``: says where it is, answers, and ends quietly."""

import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from tests.ui.made_up import MadeUp


def ui(*arguments):
    command = [sys.executable, "-m", "fluent_pipe.cli", "ui", "--port", "0", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_says_where_it_is_answers_and_ends_on_a_signal(store, number, code):
    MadeUp(store).run(steps=["from_csv"])
    with ui("--root", store.root) as process:
        said = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", said)[0]
        assert "flights" in httpx.get(url).text
        assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 421
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, "")


def test_without_a_store_it_says_so(tmp_path):
    with ui("--root", tmp_path / "none") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "There is no store at" in errors
    with ui("--root", tmp_path) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "There is no metadata store here." in errors


def test_a_port_that_is_taken_is_an_error(store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with ui("--root", store.root, "--port", taken.getsockname()[1]) as process:
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The port cannot be had" in errors


def test_it_loads_nothing_heavy(store):
    code = f"""
import sys
from fluent_pipe.mirror import Root
from fluent_pipe.ui.app import Pages
from fluent_pipe.ui.history import History
from starlette.testclient import TestClient
client = TestClient(Pages(History(Root.of({str(store.root)!r}))).app(), base_url="http://127.0.0.1")
for path in ("/", "/p/flights", "/r/one", "/r/one/lineage", "/r/one/report", "/compare?a=one&b=one"):
    assert client.get(path).status_code == 200, path
heavy = ("tensorflow", "apache_beam", "pandas", "keras", "tensorflow_data_validation", "tensorflow_transform")
print([name for name in heavy if name in sys.modules])
"""
    MadeUp(store).run("one")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
