"""Models and predictions that go to an object store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluent_pipe import remote
from fluent_pipe.components import remote_destination
from fluent_pipe.errors import StoreError
from fluent_pipe.remote import joined
from fluent_pipe.steps.destinations import MARKER, holds, versions_at
from tests import buckets


@pytest.fixture(scope="module", params=buckets.STORES)
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    with buckets.bucket(request.param) as url:
        yield url


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Files as a SavedModel has them."""
    for name in ("saved_model.pb", "variables/variables.index", "assets/words"):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(name)
    return tmp_path / "model"


def test_versions_count_up_and_old_ones_are_retired(bucket: str, model: Path) -> None:
    serving = joined(bucket, "serving")
    assert versions_at(serving) == []
    assert [remote_destination.publish(model, serving) for _ in range(3)] == [1, 2, 3]
    assert remote_destination.publish(model, serving, keep=2) == 4
    assert versions_at(serving) == [3, 4]
    assert buckets.names(joined(serving, "4")) == ["assets/words", "saved_model.pb", "variables/variables.index"]


def test_what_a_server_looks_for_goes_last(bucket: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[list[str]] = []
    put = remote.put

    def watched(files, *rest) -> None:
        there.append([url.rpartition("/")[2] for url in files])
        put(files, *rest)

    monkeypatch.setattr(remote, "put", watched)
    remote_destination.publish(model, joined(bucket, "watched"))
    assert there[-1] == ["saved_model.pb"]
    assert "saved_model.pb" not in there[0]


def predictions(folder: Path, to: str, number: int, files: int) -> dict[str, object]:
    (folder / "staged").mkdir(exist_ok=True)
    names = [f"predictions-{n:05d}-of-{files:05d}.parquet" for n in range(files)]
    for name in names:
        (folder / "staged" / name).write_text(f"{number}")
    facts = {"id": str(number), "files": names, "destination": to}
    staged = str(folder / "staged")
    remote_destination.appear(staged, dict(zip(names, names, strict=True)), json.dumps(facts).encode(), to)
    return facts


def test_predictions_take_the_place_of_earlier_ones(bucket: str, tmp_path: Path) -> None:
    to = joined(bucket, "scored")
    first = predictions(tmp_path, to, 1, files=3)
    assert holds(first)
    second = predictions(tmp_path, to, 2, files=2)
    assert holds(second)
    assert not holds(first)
    assert buckets.names(to) == [*second["files"], MARKER]


def test_other_things_are_left_alone(bucket: str, tmp_path: Path) -> None:
    to = joined(bucket, "taken")
    remote.write_bytes(joined(to, "letters.txt"), b"dear")
    with pytest.raises(StoreError, match=r"holds other things than predictions: letters\.txt"):
        predictions(tmp_path, to, 1, files=1)
    assert buckets.names(to) == ["letters.txt"]
