"""Ctrl-C raises where that is safe, and asks to stop everywhere."""

import signal
import sys
import threading
import time

import pytest

from fluent_pipe import interrupts, progress
from fluent_pipe.errors import Interrupted
from fluent_pipe.interrupts import interruptible


@pytest.fixture(autouse=True)
def _nothing_asked():
    progress.reset()
    yield
    progress.reset()


@pytest.fixture(scope="module")
def within_tensorflow():
    """Call a function from TensorFlow's own code."""
    import tensorflow as tf

    return lambda function: tf.nest.map_structure(lambda _: function(), 0)


def press():
    signal.raise_signal(signal.SIGINT)


def idle(seconds=30.0):
    """Be busy in Python, so that a signal is met."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def run(work):
    with interruptible():
        work()
    pytest.fail("went on")


def test_raises_at_once_where_no_tensorflow_is_at_work():
    with pytest.raises(KeyboardInterrupt):
        run(press)
    assert progress.is_stopping()


def test_tensorflow_is_left_before_it_raises(within_tensorflow):
    done = []

    def step():
        press()
        idle(0.3)
        done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        run(lambda: within_tensorflow(step))
    assert done == ["whole"]


def test_a_step_that_heard_is_not_disturbed(within_tensorflow):
    tidied = []

    def step():
        press()
        progress.check()

    def work():
        try:
            within_tensorflow(step)
        finally:
            idle(0.3)  # tidying up, out of TensorFlow
            tidied.append("whole")

    with pytest.raises(Interrupted):
        run(work)
    assert tidied == ["whole"]


def test_a_second_press_raises_whatever_is_at_work(within_tensorflow):
    def work():
        press()
        press()
        pytest.fail("went on")

    with pytest.raises(KeyboardInterrupt):
        run(lambda: within_tensorflow(work))


def test_patience_with_tensorflow_ends(within_tensorflow, monkeypatch):
    monkeypatch.setattr(interrupts, "GRACE_SECONDS", 0.2)

    def work():
        press()
        idle()
        pytest.fail("went on")

    with pytest.raises(KeyboardInterrupt):
        run(lambda: within_tensorflow(work))


def test_handlers_are_as_before(within_tensorflow):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    with pytest.raises(KeyboardInterrupt):
        run(lambda: within_tensorflow(press))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before
    assert sys.getprofile() is None
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_another_handler_stays():
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("mine"))
    try:
        with interruptible():
            press()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == ["mine"]
    assert not progress.is_stopping()


def test_outside_the_main_thread_it_does_nothing():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def elsewhere():
        with interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]
