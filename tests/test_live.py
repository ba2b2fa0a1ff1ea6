"""How far a run is, as other processes read it."""

import json
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from fluent_pipe import live, progress
from fluent_pipe.live import Board, Estimate, LiveStep, Observers, Writer


@pytest.fixture(autouse=True)
def _nothing_reported():
    progress.reset()
    yield
    progress.reset()


@pytest.fixture
def board():
    board = Board("20260101-120000-abc", "flights")
    board.started(["from_csv", "train", "push_to"])
    return board


def watched(board, folder):
    return Observers(board, Writer(board, folder))


def soon(condition):
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until, "nothing came of it"
        time.sleep(0.01)


def test_another_process_reads_how_far_each_step_is(board, tmp_path):
    both = watched(board, tmp_path)
    both.changed("from_csv", "cached", note="1,000 rows")
    both.job(["train"])
    progress.report("train", detail="epoch 1/2")
    soon(lambda: (seen := live.read(tmp_path)) and seen.steps[1].detail)
    seen = live.read(tmp_path)
    assert (seen.run, seen.pipeline, seen.state, seen.is_old) == ("20260101-120000-abc", "flights", "running", False)
    assert seen.steps[0] == LiveStep("from_csv", "cached", note="1,000 rows")
    assert [(s.state, s.job, s.detail) for s in seen.steps[1:]] == [("running", 1, "epoch 1/2"), ("waiting", None, "")]
    assert seen.count("cached", "waiting") == 2
    both.changed("train", "ran", seconds=3.0, note="200 parameters")
    soon(lambda: live.read(tmp_path).steps[1] == LiveStep("train", "ran", 1, 3.0, note="200 parameters"))
    both.ended("succeeded")
    assert not list(tmp_path.iterdir())
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_a_cached_run_writes_nothing_and_starts_no_thread(board, tmp_path):
    both, before = watched(board, tmp_path), threading.active_count()
    for step in ("from_csv", "train", "push_to"):
        both.changed(step, "cached")
    assert threading.active_count() == before
    both.ended("succeeded")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_does_not_hurt_the_run(board, tmp_path):
    both = watched(board, tmp_path / "gone")
    both.job(["train"])
    both.changed("train", "ran")
    both.ended("succeeded")
    assert live.read(tmp_path / "gone") is None


def test_what_a_killed_process_left_is_old(board, tmp_path):
    said = json.loads(board.now().to_json())
    said["updated"] = (datetime.now(timezone.utc) - timedelta(minutes=1)).isoformat()
    (tmp_path / live.PROGRESS_FILE).write_text(json.dumps(said))
    assert live.read(tmp_path).is_old


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"steps": 3}', '{"steps": [{"nothing": 1}]}', "\x00"])
def test_a_broken_file_is_none(tmp_path, text):
    (tmp_path / live.PROGRESS_FILE).write_text(text)
    assert live.read(tmp_path) is None


def test_what_a_later_version_says_more_is_left_out(board, tmp_path):
    said = json.loads(board.now().to_json())
    said["mood"] = said["steps"][0]["mood"] = "good"
    (tmp_path / live.PROGRESS_FILE).write_text(json.dumps(said))
    assert live.read(tmp_path).steps == board.now().steps


def test_names_of_any_kind_come_back_as_they_were(tmp_path):
    name = '<script>alert(1)</script>"\x07\u202e\ud800' + "🎈" * 100
    board = Board("run", "p")
    board.started([name])
    (tmp_path / live.PROGRESS_FILE).write_text(board.now().to_json())
    assert live.read(tmp_path).steps[0].step == name


def test_time_left_is_known_when_a_rate_is():
    estimate = Estimate()
    assert estimate.left(None, 0) is None  # nothing tells how much there is
    assert estimate.left(0.0, 1) is None  # nothing has been done
    assert estimate.left(0.2, 100) is None  # the first part may have held what comes once
    assert estimate.left(0.3, 101) is None  # too early
    assert estimate.left(0.4, 102) == pytest.approx(6)
    assert estimate.left(0.4, 104) == pytest.approx(4)  # goes on between reports
    assert estimate.left(0.4, 120) is None  # longer than it was thought to take
    assert estimate.left(1.0, 121) is None


def test_time_left_does_not_jump():
    estimate = Estimate()
    for now in range(11):
        left = estimate.left(0.05 + now * 0.05, now)
    assert left == pytest.approx(9)
    slower = estimate.left(0.56, 12)
    assert 7 < slower < 10.3  # by the old rate and by the new one


def test_a_step_that_is_tried_again_is_estimated_anew():
    estimate = Estimate()
    assert [estimate.left(0.1, 0), estimate.left(0.5, 4)] == [None, pytest.approx(5)]
    assert estimate.left(0.1, 5) is None
    assert estimate.left(0.2, 10) == pytest.approx(40)


def test_it_is_written_by_one_rename(board, tmp_path):
    seen, stop = [], threading.Event()

    def reads():
        while not stop.is_set():
            seen.append(live.read(tmp_path))

    both = watched(board, tmp_path)
    both.job(["from_csv"])
    soon(lambda: live.read(tmp_path))
    reader = threading.Thread(target=reads)
    reader.start()
    for _ in range(5):
        both.changed("from_csv", "running")
        time.sleep(0.12)
    stop.set()
    reader.join()
    both.ended("failed")
    assert None not in seen


def test_a_process_can_end_without_its_run_having_ended(board, tmp_path):
    both = watched(board, tmp_path)
    both.job(["train"])
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "progress"] == [True]
    both.ended("interrupted")
