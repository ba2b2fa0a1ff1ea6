"""What a step asks of its machine: checked before work starts in this process, hints for Beam on a cluster."""

import shutil
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.common_urns import resource_hints

import fluent_pipe as fp
from fluent_pipe.components.base import Context, once
from fluent_pipe.errors import ArgumentError, ResourceError
from fluent_pipe.runners import Direct, machine
from fluent_pipe.runners.machine import Machine, this_machine
from tests import trips

SMALL = Machine(memory=8 * 10**9, cpu=2, gpu=0)


@pytest.fixture
def source(tmp_path):
    """100 trips in a store of their own."""
    csv = trips.write(tmp_path / "trips.csv", trips.rows(100))
    return fp.Pipeline("trips", root=tmp_path / "root").from_csv(csv).generate_statistics().infer_schema()


def test_too_much_is_said_before_the_work_starts(source):
    chain = source.preprocess(label="tipped").train(resources=fp.Resources(memory="900TB", gpu=1000))
    heard = []
    with pytest.raises(ResourceError) as error:
        chain.on_failure(heard.append).run(progress=False)
    text = str(error.value)
    assert text.startswith("train asks for 900,000 GB of memory and 1000 GPUs; this machine has ")
    assert text.endswith("Run it on a cluster, or ask for less.")
    assert error.value.step == heard[0].step == "train"
    assert {p.state for p in source.plan().steps} == {"run", "after"}


def test_a_cached_step_is_not_checked_and_a_wish_is_no_part_of_the_key(finished):
    steps = tuple(
        replace(s, resources=fp.Resources(memory="900TB")) if s.id == "train" else s for s in finished.pipeline.steps
    )
    run = replace(finished.pipeline, steps=steps).run(progress=False)
    assert run.timings.steps_run == ()


def test_a_guarded_step_is_checked_once_its_condition_holds(source):
    chain = source.when(lambda run: False).preprocess(label="tipped").train(resources=fp.Resources(gpu=1000))
    assert chain.run(progress=False).skipped
    chain = source.when(lambda run: True).preprocess(label="tipped").train(resources=fp.Resources(gpu=1000))
    with pytest.raises(ResourceError):
        chain.run(progress=False)
    assert not (source.root / "trips" / "preprocess").exists()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (fp.Resources(memory="8GB", cpu=2), None),
        (fp.Resources(), None),
        (fp.Resources(cpu=4), "asks for 4 processors; this machine has 2 processors"),
        (fp.Resources(gpu=1), "asks for 1 GPU; this machine has no GPU"),
        (fp.Resources(memory="8GiB"), "asks for 8.6 GB of memory; this machine has 8 GB of memory"),
    ],
)
def test_what_a_machine_lacks(asked, says):
    assert SMALL.lacks(asked) == says


def test_this_machine_is_what_this_process_may_use():
    there = Direct().capabilities().machine
    assert there == this_machine()
    assert there.memory > 10**8
    assert there.cpu >= 1


@pytest.mark.parametrize(
    ("files", "memory", "processors"),
    [
        ({"memory.max": "2000000000\n", "cpu.max": "150000 100000\n"}, 2_000_000_000, 2),
        ({"memory.max": "max\n", "cpu.max": "max 100000\n"}, None, None),
        ({"memory.limit_in_bytes": "1000000000\n"}, 1_000_000_000, None),
        ({"cpu.cfs_quota_us": "400000\n", "cpu.cfs_period_us": "100000\n"}, None, 4),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None, None),
        ({}, None, None),
    ],
)
def test_limits_of_a_container(tmp_path, files, memory, processors):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert machine._memory_limit(tmp_path) == memory
    assert machine._processor_limit(tmp_path) == processors


def test_gpus_are_no_more_than_cuda_is_let_see(monkeypatch):
    monkeypatch.setattr(machine, "_listed_gpus", lambda: 4)
    monkeypatch.setattr(Path, "glob", lambda *_: [])
    for visible, count in (("0,2", 2), ("", 0), ("-1", 0)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert machine._gpu_count() == count
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert machine._gpu_count() == 4


def test_wishes_become_hints_that_beam_knows(tmp_path):
    asked = fp.Resources(gpu=2, memory="16GB", cpu=4)
    pipeline = beam.Pipeline(options=PipelineOptions(flags=[], pipeline_type_check=False))
    once(pipeline, "Work", Context("train", str(tmp_path)), print, resources=asked)
    environments = pipeline.to_runner_api().components.environments.values()
    (hints,) = [dict(e.resource_hints) for e in environments if e.resource_hints]
    assert hints == {
        resource_hints.ACCELERATOR.urn: b"type:any;count:2;install-nvidia-driver",
        resource_hints.MIN_RAM_BYTES.urn: b"16000000000",
        resource_hints.CPU_COUNT.urn: b"4",
    }


def test_a_step_that_asks_for_what_is_there_runs(finished, tmp_path):
    shutil.copytree(finished.pipeline.root, tmp_path / "root")
    modest = replace(finished.pipeline, root=tmp_path / "root", steps=finished.pipeline.steps[:5])
    run = modest.train(steps=1, resources=fp.Resources(memory="100MB", cpu=1)).run(progress=False)
    assert run.model.serving.is_dir()


@pytest.mark.parametrize(
    "given",
    [
        {"gpu": -1},
        {"gpu": True},
        {"cpu": 0},
        {"memory": "much"},
        {"memory": 16},
        {"gpu_type": "nvidia-tesla-t4"},
        {"gpu": 1, "gpu_type": "a;b"},
    ],
)
def test_what_is_no_wish_is_an_error(given):
    with pytest.raises(ArgumentError):
        fp.Resources(**given)
