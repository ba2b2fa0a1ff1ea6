"""Runners by name, with flags; and what run() takes for a runner."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import apache_beam as beam
import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.named import chosen, named


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A runner's arguments, of every type that a flag can give."""

    parallelism: int | None = None
    master: str = field(default="[local]", kw_only=False)
    share: float = 1.0
    jar: str | Path | None = None
    folder: Path | None = None
    level: Literal["low", "high"] = "low"
    shared_disk: bool | None = None
    wheels: tuple[str, ...] = ()
    ports: Sequence[int] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Cloud:
    project: str
    region: str
    on_end: object = None


HOMES = {"Cluster": __name__, "Cloud": __name__}


def cluster(flags=""):
    return named(f"cluster {flags}", homes=HOMES)


def refusal(text, homes=HOMES):
    with pytest.raises(ArgumentError) as caught:
        named(text, homes=homes)
    return str(caught.value)


def test_a_name_alone_is_the_runner_as_it_is_made_without_arguments():
    assert named("direct") == named(" Direct ") == fp.runners.Direct()
    assert cluster() == Cluster()


@pytest.mark.parametrize(
    "flags",
    ["--shared-disk --parallelism 8", "--parallelism=8 --shared_disk=true", "--shared_disk yes --parallelism=8"],
)
def test_flags_may_be_written_in_several_ways(flags):
    assert cluster(flags) == Cluster(parallelism=8, shared_disk=True)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--master=localhost:8081", {"master": "localhost:8081"}),
        ("--master='two words'", {"master": "two words"}),
        ("--master=", {"master": ""}),
        ("--master=a=b", {"master": "a=b"}),
        ("--parallelism -1", {"parallelism": -1}),
        ("--share=0.5", {"share": 0.5}),
        ("--jar=a.jar", {"jar": Path("a.jar")}),
        ("--folder=a/b", {"folder": Path("a/b")}),
        ("--level=high", {"level": "high"}),
        ("--shared-disk=no", {"shared_disk": False}),
        ("--wheels=a.whl,b.whl", {"wheels": ("a.whl", "b.whl")}),
        ("--wheels a.whl --wheels b.whl", {"wheels": ("a.whl", "b.whl")}),
        ("--ports=80,81", {"ports": (80, 81)}),
        ("--labels=team=ads,stage=test", {"labels": {"team": "ads", "stage": "test"}}),
    ],
)
def test_a_value_is_of_its_fields_type(flag, value):
    assert cluster(flag) == Cluster(**value)


def test_other_flags_are_beams():
    flags = "--parallelism=2 --max-parallelism 4 --streaming --experiments=a --experiments=b,c"
    beams = {"max_parallelism": "4", "streaming": True, "experiments": ("a", "b,c")}
    assert cluster(flags) == Cluster(parallelism=2, options=beams)


def test_a_mistyped_flag_of_the_runners_own_is_not_taken_for_one_of_beams():
    assert refusal("cluster --paralelism=2").endswith("Did you mean '--parallelism'?")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--parallelism=two", "Cluster's --parallelism takes an integer, got 'two'."),
        ("--parallelism", "Cluster's --parallelism takes an integer, got no value."),
        ("--parallelism=1 --parallelism=2", "Cluster's --parallelism takes an integer, got '1' '2'."),
        ("--master", "Cluster's --master takes a text, got no value."),
        ("--shared-disk=maybe", "Cluster's --shared-disk takes true or false, got 'maybe'."),
        ("--level=hihg", "Cluster's --level takes low or high, got 'hihg'. Did you mean 'high'?"),
        ("--ports=80,http", "Cluster's --ports takes values with commas between, got '80,http'."),
        ("--labels=team", "Cluster's --labels takes KEY=VALUE with commas between, got 'team'."),
        ("localhost:8081", "Cluster takes flags, --NAME=VALUE, got 'localhost:8081'. For example --master=localhost"),
        ("-p 2", "Cluster takes flags, --NAME=VALUE, got '-p'."),
        ("--master='a", "cannot be split into words"),
    ],
)
def test_what_is_not_valid_is_told(flags, told):
    assert told in refusal(f"cluster {flags}")


def test_without_beams_options_an_unknown_flag_is_refused():
    told = "Direct has no --worker. There are: --workers, --mode. Did you mean '--workers'?"
    assert refusal("direct --worker=2", homes={"Direct": "fluent_pipe.runners.direct"}) == told


def test_the_runner_itself_checks_its_values():
    with pytest.raises(ArgumentError, match="needs a mode that has several workers"):
        named("direct --workers=2")


def test_what_must_be_given_is_named():
    assert refusal("cloud") == "Cloud needs --project and --region."
    assert refusal("cloud --project=p") == "Cloud needs --region."


def test_what_only_python_can_give_is_refused():
    assert "takes what no flag can give" in refusal("cloud --project=p --region=r --on-end=f")


@pytest.mark.parametrize("text", ["", "  ", "cloister"])
def test_an_unknown_name_is_refused(text):
    assert "There are: cluster, cloud." in refusal(text)


def test_without_a_runner_the_environment_names_it_else_it_is_this_process(monkeypatch):
    monkeypatch.delenv("FLUENT_PIPE_RUNNER", raising=False)
    assert chosen() == fp.runners.Direct()
    monkeypatch.setenv("FLUENT_PIPE_RUNNER", "")
    assert chosen() == fp.runners.Direct()
    monkeypatch.setenv("FLUENT_PIPE_RUNNER", "direct --workers=2 --mode=multi_threading")
    assert chosen() == fp.runners.Direct(workers=2, mode="multi_threading")
    assert chosen("direct") == fp.runners.Direct()


def test_a_mistake_in_the_environment_says_so(monkeypatch):
    monkeypatch.setenv("FLUENT_PIPE_RUNNER", "dirct")
    with pytest.raises(ArgumentError, match=r"FLUENT_PIPE_RUNNER: There is no runner 'dirct'.*Did you mean 'direct'"):
        chosen()


@pytest.mark.parametrize(
    ("runner", "fix"),
    [
        (fp.runners.Direct, "Call it: Direct()."),
        (beam.runners.DirectRunner(), "such as fp.runners.Direct()."),
        (beam.runners.runner.PipelineRunner, "such as fp.runners.Direct()."),
        (7, "such as fp.runners.Direct()."),
    ],
)
def test_what_is_no_runner_is_refused(runner, fix):
    with pytest.raises(ArgumentError) as caught:
        fp.Pipeline("p").from_csv("a.csv").run(runner)
    assert str(caught.value).startswith("run() takes a runner, got")
    assert str(caught.value).endswith(fix)


def test_a_runner_is_known_by_what_it_can_do(own_runner):
    assert chosen(own_runner) is own_runner


@pytest.fixture
def own_runner():
    class Own:
        name = "elsewhere"

        def capabilities(self):
            return fp.runners.Capabilities(shared_disk=False)

        def check(self):
            pass

        def session(self):
            raise NotImplementedError

    return Own()


def test_a_plan_says_what_its_runner_can_do(own_runner, tmp_path, monkeypatch):
    monkeypatch.delenv("FLUENT_PIPE_RUNNER", raising=False)
    pipeline = fp.Pipeline("p", root=tmp_path).from_csv("a.csv")
    told = "Runner: elsewhere, as many workers as it decides, sees no files of this machine, machines as steps ask"
    assert str(pipeline.plan(own_runner)).splitlines()[-1].startswith(told)
    assert "Runner: in this process, 1 worker, sees this machine's files, " in str(pipeline.plan("direct"))
    assert "Runner" not in str(pipeline.plan())
    monkeypatch.setenv("FLUENT_PIPE_RUNNER", "direct")
    assert "Runner: in this process" in str(pipeline.plan())


def test_runners_are_there_by_name_and_loaded_when_asked_for(tmp_path):
    assert {"Dataflow", "Direct", "Flink", "Portable", "Spark"} <= set(dir(fp.runners))
    with pytest.raises(AttributeError, match="There are: Capabilities, Dataflow"):
        _ = fp.runners.Fink
    code = (
        "import json, sys, fluent_pipe as fp\n"
        "fp.runners\n"
        "before = [m for m in sys.modules if m.startswith('fluent_pipe.runners.direct')]\n"
        "from fluent_pipe.runners.named import named\n"
        "assert named('direct') == fp.runners.Direct()\n"
        "print(json.dumps([before, 'apache_beam' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], False]
