"""Pages see what other processes do, and do not stand in their way."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time

import pytest

from fluent_pipe.errors import StoreError
from fluent_pipe.live import Live, LiveStep
from fluent_pipe.mirror import Root
from fluent_pipe.store.metadata import MetadataStore
from fluent_pipe.ui import history as module
from fluent_pipe.ui.history import History
from tests.ui.made_up import MadeUp, progress_file

RECORDING = """
import sys, time
from fluent_pipe.store.metadata import MetadataStore
from tests.ui.made_up import MadeUp
store = MetadataStore.open(__import__("pathlib").Path(sys.argv[1]))
made = MadeUp(store)
made.run(auc=0.5)
print("began", flush=True)
for i in range(15):
    time.sleep(0.3)
    made.run(auc=0.6 + i / 100, again=["train", "evaluate", "push_to"])
"""


def test_a_store_that_grows_is_shown_as_it_is(store):
    seen = History(Root.of(store.root))
    assert seen.look().all == ()
    made = MadeUp(store)
    first = made.run(steps=[])
    assert [run.id for run in seen.look().all] == [first]
    store.begin_run("flights", "under-way")
    assert seen.look().run("under-way").state == "running"
    store.end_run("under-way", "failed", {"reason": "It is so."})
    assert seen.look().run("under-way").state == "failed"
    assert [run.id for run in seen.look().of("flights")] == ["under-way", first]
    assert seen.look() is seen.look()


def test_a_store_that_was_removed_and_made_again_is_read_anew(tmp_path):
    root = tmp_path / "root"
    with MetadataStore.open(root) as store:
        MadeUp(store).run("old", steps=[])
    seen = History(Root.of(root))
    assert seen.look().run("old")
    shutil.rmtree(root)
    with pytest.raises(StoreError, match="no metadata store here"):
        seen.look()
    with MetadataStore.open(root) as store:
        MadeUp(store).run("new", steps=[])
    assert [run.id for run in seen.look().all] == ["new"]


def test_a_store_that_cannot_be_read_is_a_page_in_words(store, client):
    (store.root / "metadata.sqlite").unlink()
    answer = client.get("/")
    assert answer.status_code == 503
    assert "There is no metadata store here." in answer.text


def test_an_object_store_is_asked_now_and_then_and_may_be_away(store, monkeypatch):
    asked = []

    def sync(self, pipeline=None):
        asked.append(time.monotonic())
        if len(asked) > 1:
            raise StoreError("It does not answer.", where="gs://bucket")

    monkeypatch.setattr(MetadataStore, "sync", sync)
    monkeypatch.setattr(module.Manifests, "reach", lambda self: None)
    remote = Root(store.root, "gs://bucket/root")
    seen = History(remote)
    assert (len(asked), seen.look().notice) == (1, "")
    monkeypatch.setattr(module, "SYNC_SECONDS", 0.0)
    MadeUp(store).run("known", steps=[])
    found = seen.look()
    assert "gs://bucket: It does not answer." in found.notice
    assert found.run("known")


def test_pages_are_read_while_another_process_records_runs(store, client):
    command = [sys.executable, "-c", RECORDING, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as recording:
        assert recording.stdout.readline() == "began\n"
        statuses, counts = set(), set()

        def look(path):
            while recording.poll() is None:
                answer = client.get(path)
                statuses.add(answer.status_code)
                counts.add(answer.text.count('type="checkbox"'))

        threads = [threading.Thread(target=look, args=(path,)) for path in ("/", "/p/flights", "/p/flights?page=2")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert recording.returncode == 0
    assert statuses == {200}
    assert len(counts) > 2
    assert client.get("/p/flights").text.count('type="checkbox"') == 16


def test_a_run_under_way_tells_how_far_it_is(store, client, get):
    from datetime import datetime, timezone

    run = MadeUp(store).run("under-way", steps=["from_csv"], ended=False)
    page = get(f"/r/{run}").text
    assert 'data-live="/r/under-way/live"' in page
    assert "<noscript><meta http-equiv" in page
    assert "1 step has ended: from_csv" in page
    now = datetime.now(timezone.utc)
    steps = (
        LiveStep("from_csv", "ran", seconds=1.5, rows=10_000),
        LiveStep("train", "running", fraction=0.4, left=12.0, detail="epoch 2/5 <b>", rows=4000, total=10000),
        LiveStep("evaluate"),
    )
    progress_file(store, "flights", run).write_text(Live(run, "flights", "running", now, now, steps=steps).to_json())
    answer = get(f"/r/{run}/live")
    assert answer.headers["x-run-under-way"] == "yes"
    for words in ('value="0.4"', "epoch 2/5 &lt;b&gt;", "12.0 s left", "4,000", "of 10,000", "waiting"):
        assert words in answer.text
    assert "train 40%" in get("/p/flights").text
    assert client.get(f"/r/{run}/report").status_code == 404
    store.end_run(run, "succeeded")
    assert get(f"/r/{run}/live").headers["x-run-under-way"] == "no"
    assert "data-live" not in get(f"/r/{run}").text


def test_a_run_whose_process_died_is_interrupted(store, get):
    run = MadeUp(store).run("killed", steps=["from_csv"], ended=False)
    store.close()
    page = get(f"/r/{run}").text
    assert "interrupted" in page
    assert "data-live" not in page


def test_what_waits_for_a_person_says_how_to_decide(store, get):
    from fluent_pipe.store.approvals import Request

    run = MadeUp(store).run("waits", state="waiting", steps=["from_csv"])
    Request.of(store.root / "flights", "key").ask(run, step="approve", model=store.root)
    assert f"fluent-pipe approve {run}" in get(f"/r/{run}").text
    assert "waiting for approval" in get("/p/flights").text
