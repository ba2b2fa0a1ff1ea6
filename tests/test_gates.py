"""Conditions: they guard later steps, are asked once, and say what is wrong with them."""

import numpy as np
import pytest
from typer.testing import CliRunner

import fluent_pipe as fp
from fluent_pipe.cli import app
from fluent_pipe.errors import ArgumentError, OrderError, StepFailed, UserCodeError
from fluent_pipe.plan import group
from tests import trips


@pytest.fixture
def source(tmp_path):
    """100 trips in a store of their own."""
    csv = trips.write(tmp_path / "trips.csv", trips.rows(100))
    return fp.Pipeline("trips", root=tmp_path / "root").from_csv(csv)


def states(run):
    return {row["step"]: row["state"] for row in run.timings.rows()}


def many(run):
    return sum(row["rows"] for row in run.examples.rows()) > 50


def few(run):
    return not many(run)


def test_a_condition_that_holds_lets_the_run_go_on(source):
    guarded = source.when(many).generate_statistics().infer_schema()
    run = guarded.run(progress=False)
    assert set(states(run).values()) == {"ran"}
    assert not run.skipped
    assert set(states(guarded.run(progress=False)).values()) == {"cached"}


def test_one_that_does_not_skips_what_follows_and_the_run_succeeds(source, capfd):
    run = source.generate_statistics().when(few).infer_schema().validate().run()
    assert run.state == "succeeded"
    assert states(run) == {
        "from_csv": "ran",
        "generate_statistics": "ran",
        "infer_schema": "skipped",
        "validate": "skipped",
    }
    assert list(run.skipped) == ["infer_schema", "validate"]
    with pytest.raises(StepFailed, match=r"infer_schema was skipped in this run: few \(.*test_gates.py:\d+\) does not"):
        _ = run.schema
    said = capfd.readouterr().err
    assert "few does not hold" in said
    assert ", 2 skipped" in said

    shown = CliRunner().invoke(app, ["show", run.id, "--root", str(source.root)]).stdout
    assert "skipped" in shown
    assert "few" in shown
    assert "test_gates.py" in shown


def test_a_guarded_step_is_not_taken_from_the_cache_either(source):
    source.generate_statistics().run(progress=False)
    run = source.when(few).generate_statistics().run(progress=False)
    assert states(run) == {"from_csv": "cached", "generate_statistics": "skipped"}
    assert run.made == {"Examples"}


def test_it_sees_what_was_made_before_it_and_is_asked_once_a_run(source):
    seen = []

    def looks(run):
        seen.append((run.state, sorted(run.made)))
        return True

    guarded = source.generate_statistics().when(looks).infer_schema().validate()
    guarded.run(progress=False)
    guarded.run(progress=False)
    assert seen == [("running", ["Examples", "Statistics"])] * 2


def test_conditions_add_up(source):
    chain = source.when(many).generate_statistics().when(few).infer_schema().when(lambda run: 1 / 0).validate()
    run = chain.run(progress=False)
    assert list(states(run).values()) == ["ran", "ran", "skipped", "skipped"]
    assert "few" in run.skipped["validate"]


def test_a_condition_is_no_part_of_the_key(source):
    source.generate_statistics().run(progress=False)
    planned = source.when(many).generate_statistics().plan().steps
    assert {p.state for p in planned} == {"cached"}


def test_a_job_is_cut_before_the_guarded_steps(source):
    chain = source.generate_statistics().when(many).infer_schema().validate()
    assert group(chain.steps) == (("from_csv", "generate_statistics"), ("infer_schema", "validate"))


def test_explain_shows_what_is_guarded(source, capsys):
    source.generate_statistics().when(many).when(lambda run: True).infer_schema().explain()
    *_, free, guarded = capsys.readouterr().out.splitlines()
    assert "if" not in free
    assert "if many and the lambda at test_gates.py:" in guarded
    assert guarded.endswith("holds")


@pytest.mark.parametrize("answer", [np.bool_(True), np.float64(2) > 1])
def test_a_numpy_bool_will_do(source, answer):
    run = source.when(lambda run: answer).generate_statistics().run(progress=False)
    assert states(run)["generate_statistics"] == "ran"


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (lambda run: None, "The condition returned nothing. Return True or False."),
        (lambda run: 0.71, "returned 0.71, of type float"),
        (lambda run: run.evaluation.metrics["auc"] > 0.7, "left no Evaluation. There are: Examples"),
        (lambda run: {}["auc"] > 0.7, "KeyError: 'auc'"),
        (lambda run: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_one_that_goes_wrong_names_function_file_and_line(source, condition, says):
    with pytest.raises(UserCodeError) as error:
        source.when(condition).generate_statistics().run(progress=False)
    assert says in str(error.value)
    assert "test_gates.py:" in str(error.value)
    assert error.value.step == "generate_statistics"
    assert source.plan().steps[0].state == "cached"


def test_what_would_go_wrong_in_a_guarded_step_does_not_end_the_run_before_it_is_asked(finished):
    prefix = fp.Pipeline("trips", root=finished.pipeline.root, steps=finished.pipeline.steps[:5])
    run = prefix.when(lambda run: False).train().evaluate(slices=["nowhere"]).run(progress=False)
    assert list(run.skipped) == ["train", "evaluate"]


def test_a_condition_by_name(source, tmp_path, monkeypatch):
    (tmp_path / "rules.py").write_text("def when(run):\n    return False\n\ndef never(run):\n    return False\n")
    monkeypatch.syspath_prepend(tmp_path)
    for given in (str(tmp_path / "rules.py"), "rules:never"):
        assert source.when(given).generate_statistics().run(progress=False).skipped


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda p: p.when(True), "when() takes a function, got True."),
        (lambda p: p.when(lambda: True), "takes a function of one argument, the run so far; <lambda>() is not."),
        (lambda p: p.when("rules.py"), "there is no module file 'rules.py'"),
    ],
)
def test_what_is_no_condition_is_an_error_at_the_call(source, call, says):
    with pytest.raises(ArgumentError) as error:
        call(source)
    assert says in str(error.value)


def test_a_condition_needs_something_to_look_at():
    with pytest.raises(OrderError, match=r"when\(\) looks at earlier results"):
        fp.Pipeline("p").when(many)
