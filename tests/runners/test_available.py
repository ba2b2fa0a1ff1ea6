"""``fluent-pipe runners``: what is there, what is missing, and how to get it."""

import pytest
from typer.testing import CliRunner

from fluent_pipe.cli import app
from fluent_pipe.errors import ArgumentError, RunnerError
from fluent_pipe.runners import jars
from tests.test_cli import fluent_pipe


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "cache/jars").mkdir(parents=True)
    return tmp_path / "cache/jars"


def table():
    lines = CliRunner().invoke(app, ["runners"]).stdout.splitlines()
    return {line.split()[0]: line for line in lines}


def test_every_runner_has_a_line(commands):
    commands.java("17.0.15")
    assert list(table()) == ["runner", "direct", "flink", "spark", "dataflow", "portable"]


def test_what_is_missing_has_its_command(commands):
    assert table()["flink"].endswith("apt-get install openjdk-17-jre-headless && fluent-pipe runners --prepare flink")
    command = commands.java("17.0.15")
    assert f"missing    Java 17.0.15 ({command})" in table()["flink"]
    assert table()["flink"].endswith("  fluent-pipe runners --prepare flink")


def test_what_is_there_has_its_place(commands, cache):
    commands.java("17.0.15")
    jar = cache / f"beam-flink-job-server-{jars.beam_version()}.jar"
    jar.touch()
    assert table()["flink"].split()[1] == "available"
    assert table()["flink"].endswith(f"{jar} (our cache)")


def test_prepare_prints_the_jar(commands, cache):
    commands.java("17.0.15")
    jar = cache / f"beam-spark-job-server-{jars.beam_version()}.jar"
    jar.touch()
    done = fluent_pipe("runners", "--prepare", "spark")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{jar}\n", "")


def test_prepare_needs_java_and_a_runner_that_has_a_jar(commands):
    assert isinstance(CliRunner().invoke(app, ["runners", "--prepare", "flink"]).exception, RunnerError)
    wrong = CliRunner().invoke(app, ["runners", "--prepare", "flnk"]).exception
    assert isinstance(wrong, ArgumentError)
    assert "Did you mean 'flink'?" in str(wrong)
