"""A tied process ends with its starter, however that ends."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from fluent_pipe.runners import tied
from tests.runners.waiting import wait_for

STARTER = """
import os, sys, time
from fluent_pipe.runners import tied
log = open({log!r}, "wb")
tied.start(["sh", "-c", "echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 600"], log)
{more}
time.sleep(600)
"""


def test_the_exit_code_and_the_output_are_the_commands(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = tied.start(["sh", "-c", "pwd; echo bad >&2; exit 7"], log, folder=tmp_path)
        assert process.wait(timeout=20) == 7
    tied.stop(process)
    assert (tmp_path / "log").read_text().split() == [str(tmp_path), "bad"]


def test_a_signal_that_ended_the_command_is_told_as_shells_do(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = tied.start(["sh", "-c", "kill -9 $$"], log)
        assert process.wait(timeout=20) == 128 + signal.SIGKILL


@pytest.mark.parametrize("deaf", ["", "trap '' TERM; "])
def test_stop_ends_the_whole_group(tmp_path, deaf, monkeypatch):
    monkeypatch.setattr(tied, "GRACE_SECONDS", 0.5)
    with (tmp_path / "log").open("wb") as log:
        process = tied.start(["sh", "-c", f"{deaf}sleep 600 & sleep 600; sleep 600"], log)
    wait_for(lambda: len(psutil.Process(process.pid).children(recursive=True)) == 3)
    children = psutil.Process(process.pid).children(recursive=True)
    tied.stop(process)
    tied.stop(process)
    assert psutil.wait_procs(children, timeout=5)[1] == []


def test_stop_ends_what_a_killed_watcher_left(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        process = tied.start(["sleep", "600"], log)
    wait_for(lambda: psutil.Process(process.pid).children())
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    assert child.is_running()
    tied.stop(process)
    child.wait(timeout=5)


@pytest.mark.parametrize(
    ("number", "more"),
    [
        (signal.SIGKILL, ""),
        (signal.SIGTERM, ""),
        # A forked child holds all that its parent held, the pipe too.
        (signal.SIGKILL, "if os.fork() == 0: time.sleep(30); os._exit(0)"),
    ],
)
def test_it_ends_when_the_starter_is_killed(tmp_path, number, more):
    pid = tmp_path / "pid"
    code = STARTER.format(log=str(tmp_path / "log"), pid=pid, more=more)
    starter = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        wait_for(pid.exists)
        command = psutil.Process(int(pid.read_text()))
        assert command.is_running()
        starter.send_signal(number)
        starter.wait()
        command.wait(timeout=20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(starter.pid, signal.SIGKILL)
