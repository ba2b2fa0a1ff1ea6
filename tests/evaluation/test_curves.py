"""What curves are drawn from: TFMA's plots of the overall slice alone, and curves.json."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.api import model_eval_lib
from tensorflow_model_analysis.proto import config_pb2

from fluent_pipe.evaluation import curves
from fluent_pipe.evaluation.config import Plan
from fluent_pipe.evaluation.evaluator import evaluator
from fluent_pipe.runners.direct import Direct
from tests.evaluation import drawn
from tests.evaluation.catalogue import config, metric, spec
from tests.evaluation.drawn import FEW_SLICES, Make
from tests.evaluation.stock import Case, differences, ours, source, stock

pytestmark = pytest.mark.filterwarnings("ignore")


def plan(task: str, **more: Any) -> Plan:
    return Plan(task, "label", "weight", (), ((),), (), baseline=False, **more)


# By task: how rows are made, the plan, and other metrics; AUC fills the same histogram as the plots.
TASKS: dict[str, tuple[Make, Plan, list[tfma.MetricConfig]]] = {
    "binary": (drawn.binary, plan("binary"), [metric("ExampleCount"), metric("AUC")]),
    "binary without AUC": (drawn.binary, plan("binary"), [metric("ExampleCount")]),
    "regression": (drawn.regression, plan("regression", label_range=(-2.5, 2.0)), [metric("MeanSquaredError")]),
    "multiclass": (drawn.sparse, plan("multiclass", class_count=4), [metric("ExampleCount")]),
}


@pytest.mark.parametrize("task", TASKS)
def test_plots_are_those_of_tfma_and_of_the_overall_slice_alone(task: str) -> None:
    make, planned, metrics = TASKS[task]
    plots = curves.specs(planned)
    case = drawn.case(make, 60, seed=3, sizes=(20, 1, 30), without=("outside",))
    found = ours(case, config(spec(metrics), slices=FEW_SLICES), overall=plots)
    wanted = stock(case, config(spec(metrics), *plots, slices=FEW_SLICES))
    assert len(wanted.plots[()]) == len(plots[0].metrics)
    assert not list(differences(found.plots[()], wanted.plots[()], "plots"))
    assert not list(differences(found.metrics, wanted.metrics, "metrics"))
    assert len(found.plots) > 4
    assert not any(of_slice for key, of_slice in found.plots.items() if key != ())


def test_two_models_and_intervals() -> None:
    case = drawn.case(drawn.by_model(drawn.binary, "candidate", "baseline"), 40, seed=5, without=("outside",))
    key = {"label_key": "label", "example_weight_key": "weight"}
    options = config_pb2.Options(
        compute_confidence_intervals={"value": True},
        confidence_intervals={"method": config_pb2.ConfidenceIntervalOptions.POISSON_BOOTSTRAP},
    )
    evaluated = config(
        spec([metric("AUC"), metric("MeanLabel")]),
        models=[tfma.ModelSpec(name="candidate", **key), tfma.ModelSpec(name="baseline", is_baseline=True, **key)],
        slices=FEW_SLICES[:2],
        options=options,
    )
    plots = curves.specs(replace(plan("binary"), baseline=True))
    found, without = ours(case, evaluated, overall=plots), ours(case, evaluated)
    assert {key.model_name for key in found.plots[()]} == {"candidate"}
    assert not any(without.plots.values())
    assert not list(differences(found.metrics, without.metrics, "metrics"))
    alone = replace(
        case, predictions=case.predictions["candidate"], labels=_one(case.labels), weights=_one(case.weights)
    )
    wanted = stock(alone, config(*curves.specs(plan("binary"))))
    values = [{k.name: v for k, v in of.plots[()].items()} for of in (found, wanted)]
    assert not list(differences(*values, "plots"))


def _one(values: Any) -> Any:
    return values["candidate"] if isinstance(values, dict) else values


QUERIES = {"query_key": "query", "example_weights": {"weighted": True}}


@pytest.mark.parametrize("settings", [{}, QUERIES], ids=["in whole batches", "row by row"])
def test_a_plot_of_ones_own_is_kept_in_every_slice(settings: dict[str, Any]) -> None:
    case = replace(drawn.case(drawn.binary, 30, seed=8, without=("outside", "weightless")), features=("query",))
    own = spec([metric("CalibrationPlot", num_buckets=5, name="calibration_plot")], **settings)
    evaluated = config(spec([metric("ExampleCount")]), own, slices=FEW_SLICES[:2])
    found = ours(case, evaluated, overall=curves.specs(plan("binary"))).plots
    assert {key.name for key in found[()]} == {"calibration_plot", "confusion_matrix_plot"}
    for of_slice in found.values():
        made = next(value for key, value in of_slice.items() if key.name == "calibration_plot")
        assert len(made.buckets) <= 7


def test_the_jackknife_is_left_to_tfma() -> None:
    options = config_pb2.Options(
        compute_confidence_intervals={"value": True},
        confidence_intervals={"method": config_pb2.ConfidenceIntervalOptions.JACKKNIFE},
    )
    case = drawn.case(drawn.binary, 30, seed=8, without=("outside", "weightless"))
    found = ours(case, config(spec([metric("MeanLabel")]), options=options), overall=curves.specs(plan("binary")))
    assert found.metrics[()]
    assert not found.plots[()]


def written(folder: Path, case: Case, planned: Plan) -> dict[str, Any]:
    """What is in curves.json after TFMA's writers."""
    evaluated = config(spec([metric("ExampleCount")]), slices=FEW_SLICES[:2])
    writers = model_eval_lib.default_writers(output_path=str(folder), eval_config=evaluated)
    evaluators = [evaluator(evaluated, overall=curves.specs(planned))]

    def build(pipeline: beam.Pipeline) -> None:
        found = source(pipeline, case) | tfma.ExtractAndEvaluate(extractors=[], evaluators=evaluators)
        _ = found | tfma.WriteResults(writers=writers)

    Direct().run(build)
    text = json.dumps(curves.facts(folder, planned), separators=(",", ":"), allow_nan=False)
    assert len(text) < 64_000
    found: dict[str, Any] = json.loads(text)
    return found


def _case(label: Any, prediction: Any, weight: Any) -> Case:
    return Case(pa.table({"kind": ["a", "b"] * (len(label) // 2)}), label, prediction, weight, (7,))


RANDOM = np.random.default_rng(4)


def test_thresholds_and_calibration_of_two_classes(tmp_path: Path) -> None:
    rows = 20_000
    prediction = RANDOM.random(rows)
    label = (RANDOM.random(rows) < prediction).astype(np.int64)
    weight = RANDOM.choice([0.5, 1.0, 3.0], rows)
    found = written(tmp_path, _case(label, prediction, weight), plan("binary"))
    assert set(found) == {"binary", "calibration"}
    binary = {name: np.array(values) for name, values in found["binary"].items()}
    assert set(binary) == {"thresholds", "tp", "fp", "tn", "fn"}
    assert {len(values) for values in binary.values()} == {1001}
    for index in (0, 1, 500, 900, 1000):
        threshold = binary["thresholds"][index]
        positive = prediction > threshold
        for name, rows_there in {
            "tp": positive & (label == 1), "fp": positive & (label == 0),
            "tn": ~positive & (label == 0), "fn": ~positive & (label == 1),
        }.items():  # fmt: skip
            assert binary[name][index] == pytest.approx(weight[rows_there].sum(), rel=1e-5, abs=6)
    # The ends of a ROC curve: everything is positive, and nothing.
    assert binary["tn"][0] == binary["fn"][0] == binary["tp"][-1] == binary["fp"][-1] == 0
    assert 0.5 in binary["thresholds"]
    buckets = {name: np.array(values) for name, values in found["calibration"].items()}
    assert np.all(np.diff(buckets["prediction"]) > 0)
    assert np.all(buckets["weight"] > 0)
    assert buckets["weight"].sum() == pytest.approx(weight.sum(), rel=1e-5)
    for name, values in {"label": label, "prediction": prediction}.items():
        assert np.average(buckets[name], weights=buckets["weight"]) == pytest.approx(np.average(values, weights=weight))


def test_calibration_of_numbers_keeps_what_lies_beyond_the_range(tmp_path: Path) -> None:
    label = np.array([0.0, 10.0, 20.0, 500.0], np.float32)
    prediction = np.array([-3.0, 10.1, 10.4, 99.0], np.float32)
    weight = np.array([1.0, 1.0, 3.0, 0.5], np.float32)
    found = written(tmp_path, _case(label, prediction, weight), plan("regression", label_range=(0.0, 50.0)))
    near, far = {"prediction": 10.1, "label": 10.0, "weight": 1}, {"prediction": 10.4, "label": 20.0, "weight": 3}
    below, above = {"prediction": -3.0, "label": 0.0, "weight": 1}, {"prediction": 99.0, "label": 500.0, "weight": 0.5}
    wanted = [below, near, far, above]
    assert found == {"calibration": {name: [bucket[name] for bucket in wanted] for name in below}}


NAMES = ("cat", "<script>alert(1)</script>", "Übér")


@pytest.mark.parametrize("classes", [NAMES, None])
def test_matrix_of_many_classes(tmp_path: Path, classes: tuple[str, ...] | None) -> None:
    nobody = np.iinfo(np.int64).min  # no label; it weighs nothing
    label = np.array([0, 1, 1, 2, 2, nobody])
    predicted = np.array([0, 1, 2, 2, 2, 0])
    weight = np.array([1.0, 0.5, 2.0, 1.0, 1.0, 0.0])
    case = _case(label, np.eye(3)[predicted] * 0.8 + 0.1, weight)
    found = written(tmp_path, case, plan("multiclass", class_count=3, classes=classes))
    counts = [[1, 0, 0], [0, 0.5, 2], [0, 0, 2]]
    assert found == {"classes": {"names": list(classes or "012"), "counts": counts}}


def test_what_cannot_be_drawn_is_left_out(tmp_path: Path) -> None:
    assert curves.specs(plan("multiclass", class_count=101)) == []
    assert curves.specs(plan("regression")) == []
    case = drawn.case(drawn.regression, 10, seed=1)
    assert written(tmp_path, case, plan("regression")) == {}


def stored(folder: Path, values: list[float | None]) -> list[Path]:
    path = folder / "a.parquet"
    pq.write_table(pa.table({"label": pa.array(values, pa.float32())}), path)
    return [path]


def test_the_range_of_labels_leaves_out_a_few_far_ones(tmp_path: Path) -> None:
    labels = [*np.linspace(-17.3, 203.2, 5000).tolist(), 1e6, float("nan"), float("inf"), None]
    left, right = curves.label_range(stored(tmp_path, labels), "label") or (0.0, 0.0)
    assert -18 <= left <= -15
    assert 200 <= right <= 203


@pytest.mark.parametrize(("value", "most"), [(0.0, 1e-3), (7.0, 1e-3), (-1e9, 1e9), (1e30, 1e30)])
def test_one_label_has_a_range_too(tmp_path: Path, value: float, most: float) -> None:
    left, right = curves.label_range(stored(tmp_path, [value] * 3), "label") or (0.0, 0.0)
    assert left <= np.float32(value) < right
    assert right - left <= most


def test_a_range_of_shares_is_not_taken_for_probabilities(tmp_path: Path) -> None:
    assert curves.label_range(stored(tmp_path, np.linspace(0, 0.999, 1000).tolist()), "label") != (0.0, 1.0)


def test_no_labels_have_no_range(tmp_path: Path) -> None:
    assert curves.label_range([], "label") is None
    assert curves.label_range(stored(tmp_path, []), "label") is None
    assert curves.label_range(stored(tmp_path, [None, float("nan")]), "label") is None
    assert curves.label_range(stored(tmp_path, [1.0]), "absent") is None
