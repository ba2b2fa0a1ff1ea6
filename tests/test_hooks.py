"""Hooks hear how a run ended, and change nothing."""

import signal
from pathlib import Path

import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError, InputError, Interrupted
from fluent_pipe.store.metadata import MetadataStore
from tests import trips


@pytest.fixture
def source(tmp_path):
    """100 trips in a store of their own."""
    csv = trips.write(tmp_path / "trips.csv", trips.rows(100))
    return fp.Pipeline("trips", root=tmp_path / "root").from_csv(csv)


def test_on_success_hears_of_the_run_and_on_failure_does_not(source):
    heard = []
    chain = source.on_success(heard.append).on_failure(lambda failure: heard.append("failure"))
    run = chain.generate_statistics().run(progress=False)
    assert heard == [run]
    assert heard[0].statistics.splits == ["eval", "train"]


def test_on_failure_hears_what_failed_where_and_why(tmp_path):
    heard = []
    broken = fp.Pipeline("p", root=tmp_path / "root").from_csv("nowhere-*.csv").generate_statistics()
    with pytest.raises(InputError) as error:
        broken.on_failure(heard.append).on_success(lambda run: heard.append("success")).run(progress=False)
    (failure,) = heard
    assert isinstance(failure, fp.Failure)
    assert (failure.pipeline, failure.step) == ("p", "from_csv")
    assert failure.error is error.value
    assert "nowhere-*.csv" in failure.log.read_text()
    assert MetadataStore.open(tmp_path / "root").run(failure.run_id).state == "failed"


def test_hooks_are_called_in_turn_and_one_that_raises_changes_nothing(source, capfd):
    heard = []

    def forgetful(run):
        return heard[99]

    def ends_everything(run):
        raise SystemExit(7)

    run = source.on_success(forgetful).on_success(ends_everything).on_success(heard.append).run(progress=False)
    assert heard == [run]
    assert run.state == "succeeded"
    said = capfd.readouterr().err
    assert "on_success failed, which changes nothing: forgetful (" in said
    assert "test_hooks.py:" in said
    assert "IndexError: list index out of range" in said
    assert "exit 7" in said
    assert "Traceback" not in said
    assert "Traceback" in (run.folder / "log.txt").read_text()


def test_a_hook_that_raises_does_not_hide_why_the_run_failed(tmp_path, capfd):
    with pytest.raises(InputError, match="nowhere"):
        fp.Pipeline("p", root=tmp_path / "root").from_csv("nowhere").on_failure(lambda f: 1 / 0).run(progress=False)
    assert "on_failure failed" in capfd.readouterr().err


def test_ctrl_c_is_no_failure(source):
    heard = []

    def pressed(run):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        source.when(pressed).generate_statistics().on_failure(heard.append).run(progress=False)
    with pytest.raises(Interrupted, match=r"on_success was stopped. The run itself has ended: succeeded"):
        source.on_success(pressed).on_failure(heard.append).run(progress=False)
    assert heard == []


def test_hooks_are_no_part_of_steps_keys_or_plan(source):
    before = source.generate_statistics()
    after = before.on_success(print).on_failure(print)
    assert after.steps == before.steps
    assert str(after.plan()) == str(before.plan())


def test_a_hook_by_name(source, tmp_path, capfd):
    module = tmp_path / "notify.py"
    module.write_text(
        "from pathlib import Path\ndef on_success(run):\n    Path(__file__).with_suffix('.txt').touch()\n"
    )
    source.on_success(str(module)).run(progress=False)
    assert Path(module).with_suffix(".txt").exists()
    source.on_success("notify_nobody:at_all").run(progress=False)
    assert "notify_nobody:at_all cannot be imported" in capfd.readouterr().err


async def later(run):
    """Nobody awaits it."""


@pytest.mark.parametrize("call", ["on_success", "on_failure"])
def test_what_is_no_hook_is_an_error_at_the_call(source, call):
    with pytest.raises(ArgumentError, match=rf"{call}\(\) takes a function of one argument"):
        getattr(source, call)(lambda: None)
    with pytest.raises(ArgumentError, match="later is async"):
        getattr(source, call)(later)
    with pytest.raises(ArgumentError, match=rf"{call}\(\) takes a function, got 3"):
        getattr(source, call)(3)
