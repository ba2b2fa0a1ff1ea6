"""The command: what it prints and its exit codes."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fluent_pipe.cli import app
from fluent_pipe.errors import ArgumentError

FILE = """
from pathlib import Path
import fluent_pipe as fp
from tests.conftest import chain

LIMIT = 0.55
finished = chain(Path({root!r}), Path({csv!r}), Path({serving!r}))
strict = fp.Pipeline("trips", root={root!r}, steps=finished.steps[:-2]).evaluate(
    slices=["city", ["city", "hour"]], require={{"auc": fp.at_least(LIMIT)}}
).push_to({refused!r})
"""


@pytest.fixture
def file(finished, tmp_path):
    path = tmp_path / "pipeline.py"
    places = {"root": finished.pipeline.root, "csv": finished.csv, "serving": finished.serving}
    text = FILE.format(**{k: str(v) for k, v in places.items()}, refused=str(tmp_path / "refused"))
    path.write_text(text)
    return path


def fluent_pipe(*arguments, **options):
    command = [sys.executable, "-m", "fluent_pipe.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_run_ends_with_a_report(file):
    done = fluent_pipe("run", f"{file}:finished")
    assert done.returncode == 0, done.stderr
    assert "auc overall" in done.stdout
    assert "pushed version 1" in done.stdout
    assert len(done.stdout.splitlines() + done.stderr.splitlines()) <= 40


def test_explain_runs_nothing(file):
    printed = CliRunner().invoke(app, ["explain", f"{file}:finished"]).stdout
    assert printed.splitlines()[0] == "Pipeline trips: 8 steps, 0 Beam jobs to run"


def test_a_refused_push_exits_with_3(file, tmp_path):
    done = fluent_pipe("run", f"{file}:strict", "--set", "LIMIT=0.9999")
    assert done.returncode == 3, done.stderr
    assert "not pushed:" in done.stdout
    assert "at least 0.9999" in done.stdout
    assert not (tmp_path / "refused").exists()


def test_a_failed_run_exits_with_1_and_names_the_step(tmp_path):
    path = tmp_path / "pipeline.py"
    path.write_text('import fluent_pipe as fp\np = fp.Pipeline("p").from_csv("nowhere-*.csv")\n')
    done = fluent_pipe("run", path, "--root", tmp_path / "root")
    assert done.returncode == 1
    assert "Error in from_csv" in done.stderr
    assert "nowhere-*.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_valid_exits_with_2(file):
    assert fluent_pipe("run", "nowhere.py").returncode == 2
    assert fluent_pipe("run", file).returncode == 2  # two pipelines, none named
    assert fluent_pipe("walk").returncode == 2


def test_runs_and_show_look_back(finished):
    root = str(finished.pipeline.root)
    listed = CliRunner().invoke(app, ["runs", "trips", "--root", root]).stdout
    assert finished.run.id in listed
    shown = CliRunner().invoke(app, ["show", finished.run.id, "--root", root]).stdout
    assert "succeeded" in shown
    assert "generate_statistics" in shown
    assert "log.txt" in shown


def test_a_run_that_is_not_there_is_named(finished):
    done = fluent_pipe("show", "19990101", "--root", finished.pipeline.root)
    assert done.returncode == 2
    assert "There is no run '19990101'" in done.stderr


def test_flags_after_a_runners_name_are_the_runners(file):
    runner = ["--runner", "direct", "--workers=2", "--mode", "multi_threading"]
    for words in (["explain", f"{file}:finished", *runner], ["explain", *runner, f"{file}:finished"]):
        done = CliRunner().invoke(app, words)
        assert "Runner: in this process, 2 workers, sees this machine's files" in done.stdout, done.exception


def test_run_takes_a_runner(file):
    done = fluent_pipe("run", f"{file}:finished", "--runner", "direct --mode=multi_processing", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "pushed version 1" in done.stdout


def test_a_runner_or_flag_that_is_not_valid_exits_with_2(file):
    done = fluent_pipe("run", f"{file}:finished", "--runner", "direct", "--worker", 2)
    assert done.returncode == 2
    assert "Direct has no --worker." in done.stderr
    assert "Did you mean '--workers'?" in done.stderr
    assert fluent_pipe("run", f"{file}:finished", "--runner", "dirct").returncode == 2
    assert fluent_pipe("run", f"{file}:finished", "extra").returncode == 2
    assert fluent_pipe("run", f"{file}:finished", "--runner", "direct", "extra").returncode == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "a.py", "--refesh", "x"], "Did you mean '--refresh'?"),
        (["run", "a.py", "--runner", "flink", "--refesh", "x"], "Did you mean '--refresh'?"),
        (["demo", "--ful"], "Did you mean '--full'?"),
        (["run", "a.py", "--parallelism", "8"], "Flags of a runner need --runner NAME."),
        (["demo", "--parallelism", "8"], "Flags of a runner need --runner NAME."),
    ],
)
def test_a_mistyped_flag_of_the_command_is_no_runners_flag(words, told, monkeypatch):
    monkeypatch.setenv("FLUENT_PIPE_RUNNER", "flink")  # whose flags stand there too
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, ArgumentError)
    assert str(error).endswith(told)


def test_help_says_how_to_give_flags():
    printed = CliRunner().invoke(app, ["run", "--help"]).stdout
    assert "--runner" in printed
    assert "FLUENT_PIPE_RUNNER" in printed
