"""Metrics by name: the table says what TFMA says."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs

from fluent_pipe.errors import EvaluationError
from fluent_pipe.steps import metrics


@pytest.mark.parametrize("metric", metrics.METRICS, ids=lambda m: m.class_name)
def test_names_are_those_of_tfma(metric: metrics.Metric) -> None:
    assert metric_specs.metric_instance(tfma.MetricConfig(class_name=metric.class_name)).name == metric.name


@pytest.mark.parametrize("task", metrics.TASKS)
def test_every_metric_that_fits_a_task_is_computed(task: str) -> None:
    random = np.random.default_rng(1)
    shares = random.dirichlet([1.0, 1.0, 1.0], 60).astype(np.float32)
    label = random.integers(0, 3 if task == "multiclass" else 2, 60)
    prediction = list(shares) if task == "multiclass" else shares[:, 0]
    names = [m.class_name for m in metrics.METRICS if task in m.tasks and m.name not in metrics.COUNTS]
    config = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="label", prediction_key="prediction")],
        metrics_specs=[tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name=n) for n in names])],
        slicing_specs=[tfma.SlicingSpec()],
    )
    label = label.astype(np.float32) if task == "regression" else label
    found = tfma.analyze_raw_data(pd.DataFrame({"label": label, "prediction": prediction}), config)
    computed = found.slicing_metrics[0][1][""][""]
    wanted = {m.name for m in metrics.METRICS if task in m.tasks} - metrics.COUNTS
    assert wanted == {name for name, value in computed.items() if "doubleValue" in value}


@pytest.mark.parametrize(
    ("name", "task", "meant"),
    [
        ("auc", "binary", "auc"),
        ("AUC", "binary", "auc"),
        ("binary_accuracy", "binary", "binary_accuracy"),
        ("BinaryAccuracy", "binary", "binary_accuracy"),
        ("BinaryCrossentropy", "binary", "binary_crossentropy"),
        ("accuracy", "binary", "binary_accuracy"),
        ("accuracy", "multiclass", "sparse_categorical_accuracy"),
        ("rmse", "regression", "root_mean_squared_error"),
        ("Example-Count", "regression", "example_count"),
    ],
)
def test_names_as_people_write_them(name: str, task: str, meant: str) -> None:
    assert metrics.resolve(name, task=task).name == meant


def test_an_unknown_name_offers_the_nearest() -> None:
    text = r"There is no metric 'presicion'. There are: precision, .* Did you mean 'precision'\?"
    with pytest.raises(EvaluationError, match=text):
        metrics.resolve("presicion", task="binary")
    with pytest.raises(EvaluationError, match=r"There is no metric 'AUK'.* Did you mean 'auc'\?"):
        metrics.resolve("AUK", task="binary")


@pytest.mark.parametrize(("name", "task"), [("AUC", "regression"), ("accuracy", "regression"), ("rmse", "binary")])
def test_a_metric_that_does_not_fit(name: str, task: str) -> None:
    with pytest.raises(EvaluationError, match=f"Metric '{name}' does not fit a {task} label"):
        metrics.resolve(name, task=task)


def test_counts_come_always_and_first() -> None:
    chosen = metrics.chosen(("Recall", "recall"), ("auc",), task="binary", weighted=True)
    assert [m.name for m in chosen] == ["example_count", "weighted_example_count", "recall", "auc"]
    assert metrics.primary(chosen, task="binary") == "auc"
    assert metrics.primary(metrics.chosen(("Recall",), (), task="binary", weighted=False), task="binary") == "recall"


def test_a_weighted_count_needs_weights() -> None:
    with pytest.raises(EvaluationError, match="needs weights"):
        metrics.chosen(("weighted_example_count",), (), task="binary", weighted=False)


def test_names_and_reasons_load_nothing_heavy() -> None:
    code = (
        "import sys, fluent_pipe.steps.metrics, fluent_pipe.evaluation.reasons\n"
        "assert not {'tensorflow', 'apache_beam', 'pyarrow', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
