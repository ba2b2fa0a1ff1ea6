"""What evaluate() finds by itself: slices where the model is worse, confidence intervals; and a config of TFMA's."""

from __future__ import annotations

import json

import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError, EvaluationError
from tests import trips
from tests.conftest import Finished


@pytest.fixture(scope="module")
def trained(finished: Finished) -> fp.Pipeline:
    """The chain up to its trained model."""
    steps = [s.id for s in finished.pipeline.steps]
    return finished.pipeline.__class__(
        finished.pipeline.name,
        root=finished.pipeline.root,
        steps=finished.pipeline.steps[: steps.index("evaluate")],
    )


def test_slices_where_the_model_is_worse_are_found(tmp_path) -> None:
    # In Graz nothing says who tips, so no model can be good there.
    rows = trips.rows(5000)
    rows = [{**row, "tipped": number % 2} if row["city"] == "Graz" else row for number, row in enumerate(rows)]
    trained = (
        fp.Pipeline("misled", root=tmp_path)
        .from_csv(trips.write(tmp_path / "trips.csv", rows), splits={"train": 1, "eval": 1})
        .generate_statistics()
        .infer_schema()
        .preprocess(label="tipped")
        .train(epochs=3, batch_size=64)
    )
    evaluation = trained.evaluate(slices="auto").run(progress=False).evaluation
    assert evaluation.searched
    found = evaluation.worst(100)
    names = {row["slice"] for row in evaluation.rows()}
    assert "city=Graz" in {row["slice"] for row in found}
    assert not any("city=Graz, " in row["slice"] for row in found), "subsets of a slice that was found are not"
    for row in found:
        assert row["slice"] in names
        assert 0 < row["worse_by_low"] <= row["loss"] - row["loss_elsewhere"] <= row["worse_by_high"]
        assert row["p_adjusted"] <= 0.05
        assert row["auc"] is not None
        assert "tipped" not in row["slice"]
    assert [r["worse_by_low"] for r in found] == sorted((r["worse_by_low"] for r in found), reverse=True)
    assert evaluation.worst(3, metric="auc", at_least=1)[0]["slice"] in names
    alone = trained.evaluate(slices=1).run(progress=False).evaluation
    assert {len(one["slice"]) for one in alone.artifact.facts()["found"]} == {1}


@pytest.mark.parametrize("depth", [0, 4, True])
def test_depths_that_are_none(depth: int, trained: fp.Pipeline) -> None:
    with pytest.raises(ArgumentError, match="1 to 3 columns"):
        trained.evaluate(slices=depth)


def test_intervals_hold_the_value_and_stay_in_range(trained: fp.Pipeline) -> None:
    run = trained.evaluate(slices=["city"], confidence_intervals=True, baseline=None).run(progress=False)
    rows = run.evaluation.rows()
    for row in rows:
        for metric in ("auc", "binary_accuracy", "recall"):
            if f"{metric}_low" in row:
                assert 0 <= row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"] <= 1
    assert rows[0]["auc_high"] - rows[0]["auc_low"] < 0.2
    assert "example_count_low" not in rows[0]
    again = trained.evaluate(slices=["city"], confidence_intervals=True, baseline=None)
    assert again.run(progress=False, refresh="evaluate").evaluation.rows() == rows


CONFIG = """
metrics_specs {
  metrics { class_name: "Precision" config: '"thresholds": [0.9], "name": "precision_at_90"' }
  metrics { class_name: "ExactMatch" }
  metrics {
    class_name: "F1Score"
    per_slice_thresholds {
      slicing_specs { feature_keys: "city" }
      threshold { value_threshold { lower_bound { value: 1.1 } } }
    }
  }
}
slicing_specs { feature_keys: "hour" feature_values { key: "city" value: "Wien" } }
"""


def test_a_config_of_ones_own_adds_metrics_slices_and_thresholds(trained: fp.Pipeline, tmp_path) -> None:
    (tmp_path / "eval_config.pbtxt").write_text(CONFIG)
    run = trained.evaluate(config=tmp_path / "eval_config.pbtxt", slices=["city"], baseline=None).run(progress=False)
    facts = json.loads((run.evaluation.path / "metrics.json").read_text())
    assert {"precision_at_90", "exact_match", "f1_score", "auc"} <= set(facts["slices"][0]["metrics"])
    assert {"city": "Wien", "hour": 3} in [s["slice"] for s in facts["slices"]]
    assert {"city": "Graz", "hour": 3} not in [s["slice"] for s in facts["slices"]]
    assert not run.blessing
    assert {r["slice"] for r in run.blessing.rows()} == {"city=Graz", "city=Linz", "city=Wien"}
    assert all("lower_bound" in r["needed"] and r["metric"] == "f1_score" for r in run.blessing.rows())


def test_a_config_that_is_none(trained: fp.Pipeline, tmp_path) -> None:
    bad = tmp_path / "bad.pbtxt"
    bad.write_text("metrics { }")
    with pytest.raises(EvaluationError, match=r"no tfma\.EvalConfig"):
        trained.evaluate(config=bad, baseline=None).run(progress=False)
    bad.write_text('slicing_specs { feature_keys: "town" }')
    with pytest.raises(EvaluationError, match="Slice column 'town'"):
        trained.evaluate(config=bad, baseline=None).run(progress=False)
    with pytest.raises(ArgumentError, match="no file"):
        trained.evaluate(config=tmp_path / "none.pbtxt")
