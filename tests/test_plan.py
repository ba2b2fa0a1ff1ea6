"""Steps to Beam jobs."""

import fluent_pipe as fp
from fluent_pipe.plan import group
from tests.test_pipeline import chain


def test_reading_statistics_schema_and_validation_are_one_job():
    jobs = group(chain().steps)
    assert jobs == (
        ("from_csv", "generate_statistics", "infer_schema", "validate"),
        ("preprocess",),
        ("train",),
        ("evaluate",),
        ("push_to",),
    )


def test_nothing_shares_a_job_with_an_earlier_verdict():
    p = fp.Pipeline("p").from_csv("a.csv").generate_statistics().infer_schema().validate().generate_statistics()
    assert group(p.steps)[-1] == ("generate_statistics_2",)


def test_explain_tells_steps_state_and_jobs(tmp_path, capsys):
    fp.Pipeline("p", root=tmp_path / "none").from_csv("a.csv").generate_statistics().infer_schema().explain()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Pipeline p: 3 steps, 1 Beam job to run"
    assert lines[1].split() == ["from_csv", "job", "1", "no", "published", "result", "has", "its", "key"]
    assert lines[2].split() == ["generate_statistics", "job", "1", "after", "from_csv"]
    assert not (tmp_path / "none").exists()
