"""What a step has finished in part outlives its process, is used by one process at a time, and goes when it is old."""

import os
import time

from fluent_pipe.store.resumable import KEEP_SECONDS, Resumable, sweep_resumable


def test_the_next_process_finds_what_is_there(tmp_path):
    with Resumable.open(tmp_path, "key") as kept:
        (kept.path / "part").write_text("1")
    with Resumable.open(tmp_path, "key") as kept:
        assert (kept.path / "part").read_text() == "1"
        kept.remove()
    assert not list((tmp_path / ".resume").iterdir())


def test_two_runs_at_once_do_not_share_it(tmp_path):
    with Resumable.open(tmp_path, "key"):
        assert Resumable.open(tmp_path, "key") is None
        with Resumable.open(tmp_path, "other") as other:
            assert other.path.is_dir()
    assert Resumable.open(tmp_path, "key") is not None


def test_old_ones_are_swept(tmp_path):
    for key in ("old", "held", "new"):
        with Resumable.open(tmp_path, key) as kept:
            pass
        age = 0 if key == "new" else KEEP_SECONDS + 60
        os.utime(kept.path, (time.time() - age,) * 2)
    with Resumable.open(tmp_path, "held") as held:
        os.utime(held.path, (time.time() - KEEP_SECONDS - 60,) * 2)
        assert [p.name for p in sweep_resumable(tmp_path)] == ["old"]
    assert sweep_resumable(tmp_path / "nothing") == []
