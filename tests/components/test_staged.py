"""Files of a step, on a disk and on an object store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fluent_pipe.components.base import Context
from fluent_pipe.components.staged import OnStore
from fluent_pipe.components.write_examples import name_files
from fluent_pipe.errors import InputError
from fluent_pipe.remote import joined
from fluent_pipe.store.content import of_file
from tests import buckets

PLACES = ("disk", *buckets.STORES)


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "disk":
        yield str(tmp_path_factory.mktemp("staging"))
    else:
        with buckets.bucket(request.param) as url:
            yield url


@pytest.fixture
def context(place: str, request: pytest.FixtureRequest) -> Context:
    """A step's context, with a staging place of its own."""
    staging = joined(place, request.node.originalname)
    if "://" not in staging:
        Path(staging).mkdir()
    return Context("step", staging)


def write(context: Context, *names: str) -> dict[str, str]:
    """Deliver files that hold their names; hash by name."""
    hashes = {}
    for name in names:
        file = context.folder / "Split-train" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        hashes[name] = of_file(file)
        context.deliver(file, hashes[name])
    return hashes


def test_files_are_numbered_and_others_removed(context: Context) -> None:
    hashes = write(context, "a", "b", "left by a bundle that was tried twice")
    staged = context.staged
    named = name_files(staged, "Split-train", ["b", "a"], "data", ".txt")
    assert named == staged.names("Split-train") == ["data-00000-of-00002.txt", "data-00001-of-00002.txt"]
    if isinstance(staged, OnStore):
        known = staged.records()
        assert known["Split-train/data-00000-of-00002.txt"] == (1, hashes["b"])
    assert name_files(staged, "Split-train", ["b", "a"], "data", ".txt") == named  # tried again
    assert staged.names("Split-train") == named


def test_a_file_that_nobody_wrote_is_missed(context: Context) -> None:
    write(context, "a")
    with pytest.raises(FileNotFoundError):
        name_files(context.staged, "Split-train", ["a", "b"], "data", ".txt")


def test_what_a_call_writes_is_there_at_its_good_end_alone(context: Context) -> None:
    if not context.is_remote:
        pytest.skip("on a disk it is there at once")
    with context.delivering():
        (context.folder / "good.txt").write_text("good")
        (context.folder / ".hidden").write_text("stays behind")
        assert context.staged.names("") == []
    with suppress(ZeroDivisionError), context.delivering():
        (context.folder / "bad.txt").write_text("bad")
        raise ZeroDivisionError
    assert context.staged.names("") == ["good.txt"]
    assert set(OnStore(context.staging).records()) == {"good.txt"}


def test_a_failure_reaches_the_driver(context: Context) -> None:
    assert context.kept_failure() is None
    for fact in ("The first.", "The second."):
        with pytest.raises(InputError), context.explained():
            raise InputError(fact)
    kept = context.kept_failure()
    assert kept is not None
    assert (kept.fact, kept.step) == ("The first.", "step")


def test_folders_are_gathered_and_removed(context: Context) -> None:
    write(context, "a")
    with context.delivering():
        context.gather("Split-train")
        assert (context.folder / "Split-train" / "a").read_text() == "a"
    context.staged.remove_folder("Split-train")
    context.staged.remove_folder("Split-train")
    assert context.staged.names("Split-train") == []
