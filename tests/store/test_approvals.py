"""Requests for approval: files that several runs share and that are decided once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.store.approvals import Request, find, requests, waiting_for


@pytest.fixture
def home(tmp_path):
    """A pipeline's folder with two runs."""
    for run in ("20260101-aaaa", "20260101-bbbb"):
        (tmp_path / "trips" / "runs" / run).mkdir(parents=True)
    return tmp_path / "trips"


def asked(home, key="0123", *runs):
    request = Request.of(home, key)
    for run in runs or ("20260101-aaaa", "20260101-bbbb"):
        request.ask(run, step="approve", model=home / "train" / "1")
    return request


def test_either_run_finds_what_both_wait_for(home):
    request = asked(home)
    assert find(home.parent, "20260101-a") == ("20260101-aaaa", request)
    assert find(home.parent, "20260101-bbbb") == ("20260101-bbbb", request)
    assert not request.is_watched
    request.decide(approved=True, by="Ada", note="fine")
    assert request.decision["by"] == "Ada"
    assert waiting_for(home, "20260101-aaaa") is None
    with pytest.raises(ArgumentError, match=r"decided already: approved by Ada at .* \(fine\)"):
        find(home.parent, "20260101-bbbb")


def test_what_is_asked_anew_is_open_again(home):
    request = asked(home)
    request.decide(approved=False, by="Ada")
    request.ask("20260101-bbbb", step="approve", model=home, anew=True)
    assert request.runs == ["20260101-bbbb"]
    assert waiting_for(home, "20260101-bbbb") == request


def test_runs_that_ask_at_once_are_all_kept(home):
    runs = [f"run-{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda run: asked(home, "0123", run), runs))
    assert sorted(asked(home, "0123", "run-0").runs) == sorted(runs)
    assert [r.path.name for r in requests(home)] == ["0123.json"]


def test_what_is_not_there_or_not_clear_is_said(home):
    with pytest.raises(ArgumentError, match="There is no run '1999'"):
        find(home.parent, "1999")
    with pytest.raises(ArgumentError, match="There is no run ''"):
        find(home.parent, "")
    with pytest.raises(ArgumentError, match=r"Several runs start with '2026'. There are: 20260101-"):
        find(home.parent, "2026")
    with pytest.raises(ArgumentError, match="20260101-aaaa waits for no approval"):
        find(home.parent, "20260101-aaaa")


def test_a_broken_request_names_its_file(home):
    request = asked(home)
    request.path.write_text("{")
    with pytest.raises(StoreError, match=r"0123.json: The request cannot be read"):
        _ = request.decision
    request.path.unlink()
    assert request.decision is None
    assert request.runs == []
