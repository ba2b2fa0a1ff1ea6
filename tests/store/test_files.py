"""The commit protocol on disk."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fluent_pipe.errors import StoreError
from fluent_pipe.store.files import (
    Lock,
    Staging,
    clean_abandoned,
    is_held,
    new_execution_name,
    publish,
    sweep_unrecorded,
    writing,
)

HOLD = """
import sys, time
from pathlib import Path
from fluent_pipe.store.files import Staging
staging = Staging.create(Path(sys.argv[1]))
(staging.folder("train") / "half").write_text("half")
print(staging.path, flush=True)
time.sleep(60)
"""


def hold(pipeline: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(pipeline)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_step_is_written_in_staging_and_published_by_one_rename(tmp_path: Path) -> None:
    with Staging.create(tmp_path / "flights") as staging:
        folder = staging.folder("train")
        (folder / "logs").mkdir()
        (folder / "logs" / "log.txt").write_text("fine")
        destination = tmp_path / "flights" / "train" / new_execution_name()
        publish(folder, destination)
        assert (destination / "logs" / "log.txt").read_text() == "fine"
        assert not folder.exists()
    assert not staging.path.exists()
    staging.discard()


def test_a_step_that_tries_again_starts_empty(tmp_path: Path) -> None:
    with Staging.create(tmp_path / "flights") as staging:
        (staging.folder("train") / "half").write_text("half")
        assert list(staging.folder("train").iterdir()) == []


def test_nothing_is_published_over_something(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "staged").mkdir()
    with pytest.raises(StoreError, match="published already"):
        publish(tmp_path / "staged", tmp_path / "there")
    assert (tmp_path / "staged").is_dir()


def test_what_a_killed_process_left_is_cleaned_and_work_in_progress_is_not(tmp_path: Path) -> None:
    process, theirs = hold(tmp_path)
    with Staging.create(tmp_path) as mine:
        try:
            assert clean_abandoned(tmp_path) == []
            assert (theirs / "train" / "half").exists()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert clean_abandoned(tmp_path) == [theirs]
        assert not theirs.exists()
        assert mine.path.exists()
    assert clean_abandoned(tmp_path) == []
    assert clean_abandoned(tmp_path / "nowhere") == []


def test_a_lock_is_one_process_at_a_time(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    assert not is_held(lock.path)
    with lock:
        assert is_held(lock.path)
        assert not Lock(lock.path).acquire(wait=False)
    assert not is_held(lock.path)


def test_executions_that_are_not_recorded_are_swept_after_the_grace(tmp_path: Path) -> None:
    recorded, lost, foreign = (
        tmp_path / "train" / name for name in (new_execution_name(), new_execution_name(), "notes")
    )
    log = tmp_path / "runs" / new_execution_name()
    with Staging.create(tmp_path) as staging:
        for folder in (recorded, lost, foreign, log):
            folder.mkdir(parents=True)
        assert sweep_unrecorded(tmp_path, {recorded}) == [], "it may be recorded any moment"
        assert sweep_unrecorded(tmp_path, {recorded}, grace_seconds=0) == [lost]
        assert all(folder.exists() for folder in (recorded, foreign, log, staging.path))


def test_names_of_executions_sort_by_time_and_differ() -> None:
    names = [new_execution_name() for _ in range(200)]
    assert len(set(names)) == 200
    time.sleep(1.1)
    assert new_execution_name() > max(names)


def test_a_file_in_place_of_the_root_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        Staging.create(tmp_path / "root" / "flights")
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        Staging.create(tmp_path / "root")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "The disk is full. Make room"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "Permission denied"),
        (errno.EIO, "It cannot be written: Input/output error"),
    ],
)
def test_a_full_disk_is_a_clear_error_and_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def rename_on_a_full_disk(source: Any, target: Any) -> None:
        raise OSError(number, os.strerror(number), str(target))

    with Staging.create(tmp_path) as staging:
        folder = staging.folder("train")
        (folder / "model").write_text("weights")
        monkeypatch.setattr(os, "rename", rename_on_a_full_disk)
        with pytest.raises(StoreError, match=said):
            publish(folder, tmp_path / "train" / "1")
        monkeypatch.undo()
        assert not (tmp_path / "train" / "1").exists()
        assert (folder / "model").read_text() == "weights"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_device_that_is_really_full() -> None:
    with pytest.raises(StoreError, match="The disk is full"), writing(Path("/dev/full")):
        Path("/dev/full").write_text("x")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        _ = 1 / 0
