"""push_to(): a version appears whole or not at all, and only of a blessed model."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fluent_pipe.artifacts import Approval, Artifact, InfraBlessing, Model, ModelBlessing
from fluent_pipe.components import push
from fluent_pipe.components.base import Context
from fluent_pipe.components.inputs import Input
from fluent_pipe.errors import StoreError
from fluent_pipe.evaluation import reasons
from fluent_pipe.runners.direct import Direct
from fluent_pipe.steps import destinations
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.delivery import PushTo
from fluent_pipe.steps.limits import at_least
from fluent_pipe.store import outside


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A trained model's folder; pushing looks at files only."""
    serving = tmp_path / "model" / "Format-Serving"
    (serving / "variables").mkdir(parents=True)
    (serving / "saved_model.pb").write_bytes(b"graph")
    (serving / "variables" / "variables.index").write_bytes(b"index")
    return tmp_path / "model"


VERDICTS = {"blessing": ModelBlessing, "infra": InfraBlessing, "approval": Approval}


def run(model: Path, destination: Path, tmp_path: Path, **verdicts: dict[str, Any]) -> dict[str, Any]:
    staging = tmp_path / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    step = PushTo(id="push_to", model=Ref("train", Model), destination=str(destination))
    inputs = {}
    for name, verdict in verdicts.items():
        judged: Artifact = VERDICTS[name](tmp_path / name, "", name)
        judged.path.mkdir(exist_ok=True)
        (judged.path / judged.facts_file).write_text(json.dumps(verdict))
        inputs[name] = Input(name, artifact=judged)
    trained = Input("model", artifact=Model(model, "", "train"))
    component = push.PushTo(step, Context("push_to", str(staging)), trained, **inputs)
    Direct().run(lambda pipeline: pipeline | "push_to" >> component)
    facts: dict[str, Any] = json.loads((staging / "pushed.json").read_text())
    return facts


def test_a_blessed_model_becomes_the_next_version(model: Path, tmp_path: Path) -> None:
    serving = tmp_path / "serving" / "flights"
    blessed = {"blessed": True, "reasons": []}
    facts = run(model, serving, tmp_path, blessing=blessed)
    assert facts == {"pushed": True, "version": 1, "destination": str(serving / "1"), "reasons": []}
    assert run(model, serving, tmp_path, blessing=blessed)["version"] == 2
    assert sorted(p.name for p in serving.iterdir()) == ["1", "2"]
    assert (serving / "2" / "variables" / "variables.index").read_bytes() == b"index"


def test_without_a_blessing_the_model_is_pushed_unjudged(model: Path, tmp_path: Path) -> None:
    assert run(model, tmp_path / "serving", tmp_path)["pushed"]


def test_a_model_that_is_not_blessed_is_not_pushed_and_says_why(model: Path, tmp_path: Path) -> None:
    reason = reasons.judge("auc", at_least(0.65), where={}, candidate={"auc": 0.61}, baseline=None)
    facts = run(model, tmp_path / "serving", tmp_path, blessing={"blessed": False, "reasons": [reason]})
    assert facts == {
        "pushed": False, "version": None, "destination": None,
        "reasons": ["auc was 0.61, needed at least 0.65 (overall)"],
    }  # fmt: skip
    assert not (tmp_path / "serving").exists()


def test_a_model_that_was_served_is_pushed_with_its_warm_up_requests(model: Path, tmp_path: Path) -> None:
    served = tmp_path / "infra" / "Format-Serving"
    shutil.copytree(model / "Format-Serving", served)
    (served / "assets.extra").mkdir()
    (served / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"requests")
    facts = run(model, tmp_path / "serving", tmp_path, infra={"blessed": True, "reasons": []})
    assert (Path(facts["destination"]) / "assets.extra" / "tf_serving_warmup_requests").read_bytes() == b"requests"


def test_every_verdict_against_the_model_is_told(model: Path, tmp_path: Path) -> None:
    facts = run(
        model,
        tmp_path / "serving",
        tmp_path,
        blessing={"blessed": True, "reasons": []},
        infra={"blessed": False, "reasons": ["The server was ended by SIGKILL while it answered."]},
        approval={"approved": False, "by": "Ada", "at": "2024-05-01T12:00:00", "note": "Wait for the new prices."},
    )
    assert not facts["pushed"]
    assert facts["reasons"] == [
        "The server was ended by SIGKILL while it answered.",
        "The model was rejected by Ada: Wait for the new prices.",
    ]
    assert not (tmp_path / "serving").exists()


def test_old_versions_are_retired_and_the_new_one_never(model: Path, tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    for name in ("1", "9", "10", "07", "latest"):
        (serving / name).mkdir(parents=True)
        (serving / name / "saved_model.pb").touch()
    assert push.publish(model / "Format-Serving", serving, keep=2) == 11
    assert sorted(p.name for p in serving.iterdir()) == ["07", "10", "11", "latest"]
    assert push.publish(model / "Format-Serving", serving, keep=1) == 12
    assert sorted(p.name for p in serving.iterdir()) == ["07", "12", "latest"]


def test_pushes_at_the_same_time_get_versions_of_their_own(model: Path, tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    with ThreadPoolExecutor(8) as threads:
        versions = [*threads.map(lambda _: push.publish(model / "Format-Serving", serving), range(24))]
    assert sorted(versions) == [*range(1, 25)]
    assert destinations.versions_at(str(serving)) == [*range(1, 25)]
    assert all((serving / str(v) / "variables" / "variables.index").exists() for v in versions)


def test_a_number_that_is_taken_meanwhile_is_passed_over(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = tmp_path / "serving"
    push.publish(model / "Format-Serving", serving)
    seen = iter([[], [1]])  # what the folder held before, and what it holds after, the other push came first
    monkeypatch.setattr(push, "versions_at", lambda destination: next(seen))
    assert push.publish(model / "Format-Serving", serving) == 2


@pytest.mark.parametrize(
    ("number", "text"),
    [(errno.ENOSPC, "The disk is full"), (errno.EACCES, "Permission denied"), (errno.EIO, "cannot be pushed")],
)
def test_a_push_that_fails_leaves_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), "variables.index")

    monkeypatch.setattr(shutil, "copyfile", fails)  # what copytree comes down to
    with pytest.raises(StoreError, match=text):
        push.publish(model / "Format-Serving", tmp_path / "serving")
    assert [*(tmp_path / "serving").iterdir()] == []


def test_leftovers_of_a_killed_push_go_once_they_are_old(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = tmp_path / "serving"
    (serving / ".incoming-killed").mkdir(parents=True)
    os.utime(serving / ".incoming-killed", (0, 0))  # as a copy of an old model has it; it may be a push at work
    push.publish(model / "Format-Serving", serving)
    assert sorted(p.name for p in serving.iterdir()) == [".incoming-killed", "1"]
    two_hours_on = time.time() + 7200
    monkeypatch.setattr(outside.time, "time", lambda: two_hours_on)
    push.publish(model / "Format-Serving", serving)
    assert sorted(p.name for p in serving.iterdir()) == ["1", "2"]


def test_a_file_in_the_way(model: Path, tmp_path: Path) -> None:
    (tmp_path / "serving").write_text("not a folder")
    for destination in (tmp_path / "serving", tmp_path / "serving" / "flights"):
        with pytest.raises(StoreError, match="A file stands where a folder is needed"):
            push.publish(model / "Format-Serving", destination)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    serving.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        push.publish(model / "Format-Serving", serving)
