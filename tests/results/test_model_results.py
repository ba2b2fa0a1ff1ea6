"""Results of models as a person meets them: they draw themselves, answer questions, and load nothing heavy for it."""

import json

import pytest

from fluent_pipe.artifacts import Evaluation, HyperParameters, InfraBlessing, Model, ModelBlessing
from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.results import BlessingResult, EvaluationResult, InfraResult, ModelResult, TrialsResult
from tests.display.model_facts import curves, evaluation, search
from tests.test_imports import in_fresh_process

CARRIERS = {"carrier": ["AA", "B6", "DL"], "origin": ["JFK", "LGA"]}


def left(kind, folder, facts):
    """An artifact of which the folder holds these facts."""
    folder.mkdir(exist_ok=True)
    (folder / kind.facts_file).write_text(json.dumps(facts))
    return kind(folder, "f1", "step")


@pytest.fixture
def result(tmp_path):
    return EvaluationResult(left(Evaluation, tmp_path / "evaluation", evaluation(CARRIERS, intervals=True)))


def test_an_evaluation_answers_by_slice_and_metric(result):
    asked = result.by("carrier", metric="binary_crossentropy")
    rows = asked.rows()
    assert [list(r) for r in rows] == [["slice", "example_count", "binary_crossentropy"]] * 3
    losses = [r["binary_crossentropy"] for r in rows]
    assert losses == sorted(losses, reverse=True)
    first = result.by("carrier").rows()[0]
    assert first["auc_low"] < first["auc"] < first["auc_high"]
    assert len(result.by()._repr_mimebundle_()["text/html"]) > 1000


def test_the_worst_are_those_that_it_draws_first(result):
    by = result.by("origin").rows()
    worst = result.worst(10, at_least=0)
    assert [r["slice"] for r in worst if r["slice"].startswith("origin")] == [r["slice"] for r in by]


def test_show_prints_what_was_asked_for(result, capsys):
    result.show()
    assert "worst slices by auc" in capsys.readouterr().out
    result.show(slice="carrier")
    printed = capsys.readouterr().out
    assert printed.startswith("auc overall: 0.8 ±0.009; worst (lowest) first\n")
    assert "origin" not in printed
    result.show(metric="example_count")
    assert capsys.readouterr().out.startswith("example_count overall: 12,345; fewest first\n")


def test_what_was_not_evaluated_is_an_error_that_lists_what_was(result):
    with pytest.raises(ArgumentError, match=r"'carier'.*carrier.*Did you mean 'carrier'"):
        result.show(slice="carier")
    with pytest.raises(ArgumentError, match=r"'auk'.*example_count, auc.*Did you mean 'auc'"):
        result.show(metric="auk")
    with pytest.raises(ArgumentError, match="There are: example_count, auc"):
        result.worst(metric="auk")


def test_curves_are_read_where_they_were_kept(result):
    with pytest.raises(StoreError, match=r'kept no curves.*run\(refresh="evaluate"\)'):
        _ = result.curves
    (result.path / "curves.json").write_text(json.dumps(curves(thresholds=11)))
    found = result.curves
    assert len(found.rows()) == 11
    assert found.rows()[5]["threshold"] == 0.5
    assert "ROC" in repr(found)
    assert "area 0.8" in repr(found)  # the evaluated one
    assert "<img" in found._repr_mimebundle_()["text/html"]


def test_a_search_and_training_draw_themselves(tmp_path):
    trials = TrialsResult(left(HyperParameters, tmp_path / "tune", search(5)))
    assert "best: trial" in repr(trials)
    assert "<img" in trials._repr_mimebundle_()["text/html"]
    history = {"loss": [0.5, 0.4], "val_loss": [0.6, 0.5]}
    model = ModelResult(left(Model, tmp_path / "train", {"history": history, "epochs": 2, "seconds": 3.0}))
    assert model.rows() == [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}, {"epoch": 2, "loss": 0.4, "val_loss": 0.5}]
    assert "best val_loss 0.5 at epoch 2" in repr(model)
    assert model._repr_mimebundle_()["text/html"].count("<img") == 1


def test_verdicts_print_their_words_first(tmp_path):
    reasons = {"blessed": True, "baseline": None, "note": "", "reasons": []}
    assert repr(BlessingResult(left(ModelBlessing, tmp_path / "b", reasons))) == "blessed. Nothing was required."
    served = {
        "blessed": True, "reasons": [], "endpoint": None, "requests": 20, "concurrency": 1, "load_seconds": 1.5,
        "latency_ms": {"p95": 3.0}, "memory_mb": None, "rows": 10, "largest_difference": 0.0, "compared_with": "x",
        "limits": {"load_seconds": 5, "latency_ms": None, "memory_mb": None},
    }  # fmt: skip
    lines = repr(InfraResult(left(InfraBlessing, tmp_path / "i", served))).splitlines()
    assert lines[:2] == ["infra-blessed", "figure              value  limit"]
    assert lines[2].split() == ["seconds", "to", "load", "1.5", "5"]


def test_drawing_loads_nothing_heavy(tmp_path):
    left(Evaluation, tmp_path / "evaluation", evaluation(CARRIERS))
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom fluent_pipe.artifacts import Evaluation\n"
        "from fluent_pipe.results import EvaluationResult\n"
        "EvaluationResult(Evaluation(Path('evaluation'), '', ''))._repr_mimebundle_()\n"
        "heavy = ('tensorflow', 'apache_beam', 'pandas', 'pyarrow', 'numpy')\n"
        "print(json.dumps([m for m in heavy if m in sys.modules]))"
    )
    assert in_fresh_process(code, tmp_path) == []
