"""What is recorded of a run so that it can be made again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

import fluent_pipe as fp
from fluent_pipe.errors import InputError, Interrupted, StoreError
from fluent_pipe.report.page import REPORT
from fluent_pipe.report.reproduce import Commit, command, recorded, versions
from fluent_pipe.runners.named import chosen
from fluent_pipe.store.metadata import MetadataStore
from tests import trips

git = pytest.mark.skipif(shutil.which("git") is None, reason="asks git")


def in_git(folder, *words):
    """Run git in a folder."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """One with a commit."""
    in_git(tmp_path, "init", "-q")
    (tmp_path / "flights.py").write_text("1\n")
    in_git(tmp_path, "add", "flights.py")
    in_git(tmp_path, "commit", "-q", "-m", "flights")
    return tmp_path


@git
def test_the_commit_and_whether_files_have_changed_since(repository):
    commit = in_git(repository, "rev-parse", "HEAD")
    assert Commit.at(repository).name(30) == commit
    (repository / "flights.py").write_text("2\n")
    assert Commit.at(repository).name(30) == f"{commit}-dirty"


@git
def test_without_a_commit_there_is_none(tmp_path):
    in_git(tmp_path, "init", "-q")
    assert Commit.at(tmp_path).name(30) == ""
    assert Commit.at(tmp_path / "nowhere").name() == ""


def test_without_git_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Commit.at(tmp_path).name() == ""


def test_a_git_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "git").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Commit.at(tmp_path).name(0.2) == ""


@git
def test_it_is_that_of_the_folder_of_the_users_functions(repository, monkeypatch):
    (repository / "features.py").write_text("def preprocessing_fn(inputs):\n    return inputs\n")
    schema = repository / "schema.pbtxt"
    schema.write_text("")
    chain = fp.Pipeline("p").from_csv("a.csv").with_schema(schema)
    chain = chain.preprocess(str(repository / "features.py"), label="late")
    assert Commit.of(chain).name(30) == in_git(repository, "rev-parse", "HEAD")


def test_what_is_recorded(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "flights.py"), "--metadata", "mysql://me:hunter2@db/ml"])
    chain = fp.Pipeline("p").from_csv("a.csv", splits={"train": 1}).generate_statistics()
    found = recorded(chain, chosen("direct --mode=multi_threading"), Commit.at(tmp_path))
    assert found["expression"].startswith('fp.Pipeline("p")')
    assert json.loads(found["asked"])["generate_statistics"]["inputs"] == ["from_csv"]
    assert json.loads(found["asked"])["from_csv"]["arguments"]["splits"] == '{"train": 1}'
    assert json.loads(found["versions"]) == versions()
    assert found["runner"] == "Direct(workers=1, mode='multi_threading')"
    assert found["command"] == f"python {tmp_path / 'flights.py'} --metadata 'mysql://me:***@db/ml'"


def test_versions_are_those_that_are_installed():
    assert versions()["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"fluent-pipe", "tensorflow", "apache-beam", "pyarrow"} <= set(versions())


def test_a_program_is_called_by_its_name(monkeypatch, tmp_path):
    program = tmp_path / "fluent-pipe"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "run", "my file.py"])
    assert command() == "fluent-pipe run 'my file.py'"


def test_a_command_keeps_its_secrets(monkeypatch):
    words = [
        "--token",
        "hunter2",
        "--set",
        "API_KEY=hunter2",
        "--epochs",
        "2",
        "--password=hunter2",
        "--tokenizer",
        "x",
    ]
    monkeypatch.setattr(sys, "argv", ["flights.py", *words])
    told = "--token '***' --set 'API_KEY=***' --epochs 2 '--password=***' --tokenizer x"
    assert command() == f"python flights.py {told}"


def test_arguments_that_cannot_be_written_out_fail_nothing(tmp_path):
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

    chain = fp.Pipeline("p").from_csv("a.csv").generate_statistics(options={"odd": Odd()})
    assert "Odd(...)" in recorded(chain, chosen(), Commit.at(tmp_path))["expression"]


# Runs


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of one step."""
    folder = tmp_path_factory.mktemp("ran")
    csv = trips.write(folder / "trips.csv", trips.rows(50))
    return fp.Pipeline("trips", root=folder / "root").from_csv(csv).run(progress=False)


def test_a_run_leaves_its_report_and_copies_it(ran, tmp_path):
    assert ran.report() == ran.folder / REPORT
    copy = ran.report(tmp_path / "new" / "folder" / "trips.html")
    assert copy == tmp_path / "new" / "folder" / "trips.html"
    assert copy.read_bytes() == ran.report().read_bytes()
    assert "fp.Pipeline(&#34;trips&#34;" in copy.read_text()


def test_a_report_that_cannot_be_written_is_an_error_that_says_why(ran, tmp_path):
    with pytest.raises(StoreError, match="This is a folder"):
        ran.report(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=str(tmp_path / "file")):
        ran.report(tmp_path / "file" / "report.html")


def test_a_failed_run_leaves_a_report_and_names_it(tmp_path, capfd):
    seen = []
    broken = fp.Pipeline("p", root=tmp_path / "root").from_csv("nowhere-*.csv")
    with pytest.raises(InputError):
        broken.on_failure(lambda failure: seen.append((failure.log.parent / REPORT).read_text())).run()
    (text,) = seen
    assert "Failed in from_csv: nothing was pushed." in text
    assert "nowhere-*.csv" in text
    (run,) = MetadataStore.open(tmp_path / "root").runs()
    assert f"Report: {tmp_path / 'root' / 'p' / 'runs' / run.id / REPORT}" in capfd.readouterr().err


def test_ctrl_c_while_the_report_is_written_leaves_the_run_as_it_ended(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fluent_pipe.report.page.page", stopped)
    csv = trips.write(tmp_path / "trips.csv", trips.rows(50))
    with pytest.raises(Interrupted, match="The run itself has ended: succeeded"):
        fp.Pipeline("trips", root=tmp_path / "root").from_csv(csv).run(progress=False)
    with pytest.raises(InputError):
        fp.Pipeline("trips", root=tmp_path / "root").from_csv("nowhere.csv").run(progress=False)
    assert [r.state for r in MetadataStore.open(tmp_path / "root").runs()] == ["failed", "succeeded"]


def test_a_report_that_cannot_be_written_fails_no_run(tmp_path, monkeypatch):
    csv = trips.write(tmp_path / "trips.csv", trips.rows(50))
    chain = fp.Pipeline("trips", root=tmp_path / "root").from_csv(csv)
    chain.run(progress=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fluent_pipe.report.page.page", full)
    run = chain.run(progress=False)
    assert run.state == "succeeded"
    assert "No space left on device" in (run.folder / "log.txt").read_text()
    assert [f.name for f in run.folder.iterdir()] == ["log.txt"]
    with pytest.raises(StoreError, match="has left no report"):
        run.report()
