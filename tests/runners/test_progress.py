"""Rows and words of steps reach the driver from wherever they are reported, and are counted once."""

import apache_beam as beam
import pytest

from fluent_pipe import progress
from fluent_pipe.components.base import Context, once
from fluent_pipe.runners import Direct, Flink
from fluent_pipe.runners.base import JobName, Place
from fluent_pipe.runners.worker_pool import WorkerPool, serving

HALF_WAY = progress.Progress(42, "half-way", part=0.5)


@pytest.fixture(autouse=True)
def _nothing_reported():
    progress.reset()
    yield
    progress.reset()


def reports(context):
    """A job in which one step reports twice."""

    def build(pipeline):
        def work():
            progress.report("step", rows=40, part=0.25)
            progress.report("step", rows=2, detail="half-way", part=0.25)

        once(pipeline, "step", context, work)

    return build


def run(runner, folder):
    (folder / "step").mkdir()
    with runner.session(Place(str(folder), folder)) as session:
        session.run(reports(Context("step", str(folder / "step"))), JobName("trips", "run", ("step",)))
    return progress.snapshot()["step"]


def test_workers_of_this_process_are_counted_once(tmp_path):
    assert run(Direct(), tmp_path) == HALF_WAY


def test_rows_come_from_other_processes(tmp_path):
    assert run(Direct(mode="multi_processing", workers=2), tmp_path).rows == 42


def test_a_pool_passes_on_what_its_worker_processes_report(tmp_path):
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import ExternalEnvironment

    (tmp_path / "step").mkdir()
    with serving(WorkerPool(processes=True, log=tmp_path / "workers.txt")) as address:
        options = PipelineOptions(flags=[], pipeline_type_check=False, pickle_library="cloudpickle")
        pipeline = beam.Pipeline(runner=FnApiRunner(ExternalEnvironment(address)), options=options)
        reports(Context("step", str(tmp_path / "step")))(pipeline)
        pipeline.run().wait_until_finish()
        assert progress.snapshot()["step"] == HALF_WAY


def test_the_larger_of_reported_and_counted_is_shown():
    progress.report("step", rows=5)
    progress.counted("first", {"step": 4})
    assert progress.snapshot()["step"].rows == 5
    progress.counted("first", {"step": 8})
    progress.counted("second", {"step": 2})
    assert progress.snapshot()["step"].rows == 10
    progress.forget("step")
    assert "step" not in progress.snapshot()


def test_a_job_is_told_until_the_step_says_more():
    progress.tell_job(["step", "other"], "Flink: running")
    progress.report("step", detail="epoch 1/2")
    assert [progress.snapshot()[s].detail for s in ("step", "other")] == ["epoch 1/2", "Flink: running"]
    progress.tell_job(["step", "other"], "")
    assert [progress.snapshot()[s].detail for s in ("step", "other")] == ["epoch 1/2", ""]


def test_how_much_is_done_is_told_by_rows_or_by_parts():
    def fraction():
        return progress.snapshot()["step"].fraction

    progress.report("step", rows=30)
    assert fraction() is None
    progress.expect("step", None)  # nobody knows
    assert fraction() is None
    progress.expect("step", 120)
    assert fraction() == 0.25
    progress.reached("step", 0.5)
    progress.reached("step", 0.4)  # it was further already
    assert fraction() == 0.5
    progress.report("step", part=0.75)  # a part that was done twice
    assert fraction() == 1.0
    progress.forget("step")
    assert "step" not in progress.snapshot()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [None, 1], ids=["threads", "processes"])
def test_flink(tmp_path, monkeypatch, processes, flink_jar):
    told = []
    monkeypatch.setattr(progress, "tell_job", lambda steps, words: told.append(words))
    assert run(Flink(parallelism=1, processes=processes), tmp_path) == HALF_WAY
    said = [words.removeprefix("Flink [local]: ") for words in told]
    assert said[:3] == ["starting", "building the job", "handing over the job"]
    assert "running" in said
    assert said[-1] == ""
