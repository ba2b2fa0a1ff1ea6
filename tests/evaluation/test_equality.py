"""The evaluator that takes whole batches finds what TFMA's own finds, for every metric, slice and threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tensorflow_model_analysis.api import model_eval_lib
from tensorflow_model_analysis.metrics import metric_specs
from tensorflow_model_analysis.proto import config_pb2

from fluent_pipe.runners.direct import Direct
from tests.evaluation import catalogue, drawn
from tests.evaluation.catalogue import config, metric, spec
from tests.evaluation.drawn import FEW_SLICES, SLICES, Make, cases
from tests.evaluation.stock import (
    Case,
    Results,
    assert_equal,
    differences,
    ours,
    source,
    stock,
    stock_stages,
    validated,
)

pytestmark = pytest.mark.filterwarnings("ignore")

# Each example is two Beam jobs, a second or two each; where examples are few, shrinking is left to the slow run.
UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
FEW = settings(max_examples=1, deadline=None, suppress_health_check=UNHURRIED, phases=(Phase.explicit, Phase.generate))
MANY = settings(max_examples=3, deadline=None, suppress_health_check=UNHURRIED)  # other ones in each run of CI


def check(case: Case, evaluated: tfma.EvalConfig) -> Results:
    """Ours is equal to TFMA's, which is returned."""
    wanted = stock(case, evaluated)
    assert_equal(ours(case, evaluated), wanted)
    return wanted


def weighing(make: Make) -> Make:
    """The same with no weight of zero: TFMA's metrics at top k fail for a slice without weight."""

    def made(random: Any, rows: int, kinds: Any) -> tuple[Any, Any, Any]:
        labels, predictions, weights = make(random, rows, kinds)
        return labels, predictions, weights + 0.5

    return made


def _binarized(**binarize: list[int]) -> tfma.MetricsSpec:
    made = spec(catalogue.BINARIZED, both=True)
    for name, values in binarize.items():
        getattr(made.binarize, name).values.extend(values)
    return made


def _aggregated(metrics: list[tfma.MetricConfig], **aggregate: Any) -> tfma.MetricsSpec:
    top_k = aggregate.pop("top_k_list", [])
    made = spec(metrics, aggregate=tfma.AggregationOptions(**aggregate))
    if top_k:
        made.aggregate.top_k_list.values.extend(top_k)
    return made


CLASS_WEIGHTS = {0: 1.0, 1: 0.5, 2: 2.0, 3: 0.0}
MICRO = [m for m in catalogue.BINARIZED if m.class_name != "ExampleCount"]
# TFMA reads the labels alone for these, and then cannot tell which of them belong to the top predictions.
MICRO_TOP_K = [m for m in MICRO if m.class_name not in ("MeanLabel", "MeanPrediction", "Calibration")]
MACRO = [
    m for m in catalogue.BINARIZED if m.class_name in ("AUC", "Precision", "MeanLabel", "BinaryAccuracy", "Calibration")
]

# TFMA calls Keras once a slice and metric, which takes most of the time.
KERAS_SLICES = (SLICES[0], SLICES[2])

# What is evaluated, by name: how rows are made, what is computed, and which kinds of rows TFMA cannot take.
SUBJECTS: dict[str, tuple[Make, tfma.EvalConfig, tuple[str, ...]]] = {
    "confusion matrix metrics": (
        drawn.binary,
        config(
            spec(
                [
                    *catalogue.confusion_matrix_metrics_at(),
                    *catalogue.confusion_matrix_metrics_at(thresholds=catalogue.THRESHOLDS),
                ],
                both=True,
            ),
            slices=FEW_SLICES,
        ),
        (),
    ),
    "areas and points": (
        drawn.binary,
        config(spec(catalogue.AREAS + catalogue.AT_A_POINT, both=True), slices=SLICES),
        (),
    ),
    "means and entropies": (
        drawn.binary,
        config(
            spec(catalogue.COUNTS_AND_MEANS + catalogue.OTHERS + catalogue.CROSS_ENTROPIES, both=True), slices=SLICES
        ),
        (),
    ),
    "without weights": (
        drawn.unweighted(drawn.binary),
        config(
            spec(catalogue.COUNTS_AND_MEANS[:1] + catalogue.COUNTS_AND_MEANS[2:] + catalogue.AREAS[:3]),
            slices=SLICES,
            weighted=False,
        ),
        (),
    ),
    "Keras metrics": (
        drawn.binary,
        config(spec(catalogue.KERAS_BINARY, both=True), slices=FEW_SLICES[:2]),
        ("fractional",),
    ),
    "plots": (
        drawn.binary,
        config(spec(catalogue.BINARY_PLOTS, both=True), slices=FEW_SLICES),
        ("outside",),
    ),
    "regression": (drawn.regression, config(spec(catalogue.REGRESSION, both=True), slices=KERAS_SLICES), ()),
    "logarithms": (drawn.positive(drawn.regression), config(spec(catalogue.LOGARITHMIC, both=True), slices=SLICES), ()),
    "class numbers": (
        drawn.sparse,
        config(spec(catalogue.MULTI_CLASS + catalogue.SPARSE_ONLY, both=True), slices=KERAS_SLICES),
        (),
    ),
    "columns by class": (
        drawn.one_hot,
        config(spec(catalogue.MULTI_CLASS + catalogue.ONE_HOT_ONLY, both=True), slices=KERAS_SLICES),
        (),
    ),
    "top k": (
        weighing(drawn.sparse),
        config(spec(catalogue.TOP_K, both=True), slices=SLICES),
        ("weightless",),
    ),
    "top k of columns": (
        weighing(drawn.one_hot),
        config(spec(catalogue.TOP_K, both=True), slices=SLICES),
        ("weightless",),
    ),
    "binarized": (
        drawn.sparse,
        config(_binarized(class_ids=[0, 2], k_list=[1, 2]), slices=FEW_SLICES[:2]),
        (),
    ),
    "binarized columns": (
        weighing(drawn.one_hot),
        config(_binarized(class_ids=[1], k_list=[1, 3]), slices=FEW_SLICES[:2]),
        ("weightless",),
    ),
    "binarized top k": (
        weighing(drawn.one_hot),
        config(
            spec(
                [metric(n) for n in ("Precision", "Recall", "ExampleCount", "FalsePositives")],
                both=True,
                binarize=tfma.BinarizationOptions(top_k_list={"values": [1, 3]}),
            ),
            slices=FEW_SLICES,
        ),
        ("weightless",),
    ),
    "micro average": (
        drawn.sparse,
        config(_aggregated(MICRO, micro_average=True, class_weights=CLASS_WEIGHTS), slices=FEW_SLICES[:2]),
        (),
    ),
    "micro average of top k": (
        weighing(drawn.one_hot),
        config(_aggregated(MICRO_TOP_K, micro_average=True, top_k_list=[1, 2]), slices=FEW_SLICES[:2]),
        ("weightless",),
    ),
    "macro average": (
        drawn.one_hot,
        config(_aggregated(MACRO, macro_average=True, class_weights=CLASS_WEIGHTS), slices=FEW_SLICES[:2]),
        (),
    ),
    "weighted macro average": (
        drawn.sparse,
        config(_aggregated(MACRO, weighted_macro_average=True, class_weights=CLASS_WEIGHTS), slices=FEW_SLICES[:2]),
        (),
    ),
    "macro average of top k": (
        drawn.sparse,
        config(_aggregated(MACRO, macro_average=True, top_k_list=[2]), slices=FEW_SLICES[:2]),
        (),
    ),
}


# Near relations of others; the slow run has them all.
RELATED = {
    "without weights",
    "logarithms",
    "columns by class",
    "top k of columns",
    "binarized columns",
    "binarized top k",
    "micro average of top k",
    "macro average of top k",
    "weighted macro average",
}


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s not in RELATED])
@FEW
@given(data=st.data())
def test_equal(subject: str, data: st.DataObject) -> None:
    make, evaluated, without = SUBJECTS[subject]
    wanted = check(data.draw(cases(make, most=40, without=without)), evaluated)
    assert wanted.metrics[()] or wanted.plots[()]


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
@MANY
@given(data=st.data())
def test_equal_for_many(subject: str, data: st.DataObject) -> None:
    make, evaluated, without = SUBJECTS[subject]
    check(data.draw(cases(make, most=data.draw(st.sampled_from([60, 20, 3])), without=without)), evaluated)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.long)])
def test_default_numbers_of_thresholds(dtype: Any) -> None:
    """10,000 buckets and thresholds, 1,000 in plots."""
    names = ["AUC", "AUCPrecisionRecall", "ConfusionMatrixPlot", "CalibrationPlot", "ScoreDistributionPlot"]
    points = {
        "SensitivityAtSpecificity": "specificity",
        "RecallAtPrecision": "precision",
        "PrecisionAtRecall": "recall",
    }
    metrics = [metric(n) for n in names] + [metric(n, **{point: 0.5}) for n, point in points.items()]
    case = drawn.case(drawn.binary, 400, seed=5, sizes=(150,), without=("outside",))
    case = replace(case, predictions=case.predictions.astype(dtype))
    check(case, config(spec(metrics, both=True), slices=FEW_SLICES[:2]))


@pytest.mark.parametrize("seed", range(2))
def test_a_metric_that_may_fail(seed: int) -> None:
    """TFMA's PrevalenceThreshold divides by zero where both rates are the same; ours is equal or fails too."""
    case = drawn.case(drawn.binary, 7, seed=seed)
    evaluated = config(spec([metric("PrevalenceThreshold")]))
    try:
        wanted = stock(case, evaluated)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            ours(case, evaluated)
    else:
        assert_equal(ours(case, evaluated), wanted)


ONE_OUTPUT = [metric(n) for n in ("ExampleCount", "Precision", "BinaryAccuracy", "MeanLabel", "BinaryCrossentropy")]


@FEW
@given(case=cases(drawn.by_output, most=30))
def test_outputs(case: Case) -> None:
    names = ["late", "cancelled"]
    keys = {"label_keys": dict.fromkeys(names, "label"), "example_weight_keys": dict.fromkeys(names, "weight")}
    specs = [
        spec(
            [*ONE_OUTPUT, metric("AUC", num_thresholds=11)],
            both=True,
            output_names=names,
            output_weights={"late": 1.0, "cancelled": 0.5},
        ),
        spec(catalogue.BINARY_PLOTS[1:3], output_names=names),
    ]
    wanted = check(case, config(*specs, models=[tfma.ModelSpec(**keys)], slices=FEW_SLICES[:2]))
    assert {k.output_name for k in wanted.metrics[()]} == {"", *names}


def _threshold(lower: float | None = None, absolute: float | None = None, relative: float | None = None) -> Any:
    made = tfma.MetricThreshold()
    if lower is not None:
        made.value_threshold.lower_bound.value = lower
    if absolute is not None or relative is not None:
        made.change_threshold.direction = tfma.MetricDirection.HIGHER_IS_BETTER
    if absolute is not None:
        made.change_threshold.absolute.value = absolute
    if relative is not None:
        made.change_threshold.relative.value = relative
    return made


def compared(*others: tfma.MetricsSpec) -> tfma.EvalConfig:
    """A candidate that is compared with a baseline, between slices too, with every kind of threshold."""
    by_kind, by_hour = tfma.SlicingSpec(feature_keys=["kind"]), tfma.SlicingSpec(feature_keys=["hour"])
    first = tfma.SlicingSpec(feature_values={"hour": "1"})
    across = tfma.CrossSlicingSpec(baseline_spec=tfma.SlicingSpec(), slicing_specs=[by_hour])
    limited = metric("Precision", threshold=_threshold(lower=0.5, absolute=-0.1))
    per_slice = limited.per_slice_thresholds.add(slicing_specs=[by_kind, first])
    per_slice.threshold.CopyFrom(_threshold(lower=0.6, relative=0.1))
    limited.per_slice_thresholds.add(
        slicing_specs=[tfma.SlicingSpec(feature_keys=["not a slice"])], threshold=_threshold(lower=0.1)
    )
    crossing = limited.cross_slice_thresholds.add(cross_slicing_specs=[across])
    crossing.threshold.CopyFrom(_threshold(lower=0.0, absolute=0.05))
    metrics = [
        limited,
        metric("AUC", num_thresholds=21, threshold=_threshold(lower=0.9, relative=0.05)),
        metric("MeanLabel", threshold=_threshold(absolute=0.0)),
        metric("ExampleCount", threshold=_threshold(lower=5.0)),
        metric("Recall", thresholds=[0.25, 0.5]),
        metric("ConfusionMatrixAtThresholds", thresholds=[0.25, 0.5]),
        metric("CalibrationPlot", num_buckets=5),
        metric("BinaryCrossentropy"),
    ]
    key = {"example_weight_key": "weight"}
    return config(
        spec(metrics),
        *others,
        models=[
            tfma.ModelSpec(name="candidate", label_key="label", **key),
            tfma.ModelSpec(name="baseline", label_key="label", is_baseline=True, **key),
        ],
        slices=[tfma.SlicingSpec(), by_kind, by_hour],
        cross_slicing_specs=[across, tfma.CrossSlicingSpec(baseline_spec=first)],
    )


@FEW
@given(case=cases(drawn.by_model(drawn.binary, "candidate", "baseline"), most=40))
def test_models_and_thresholds(case: Case) -> None:
    wanted = check(case, compared())
    assert any(k.is_diff for k in wanted.metrics[()])
    assert any(len(k) == 2 and k[0] == () for k in wanted.metrics), "no cross slices"
    assert any(not v.validation_ok for v in wanted.validations)


@pytest.mark.slow
@MANY
@given(case=cases(drawn.by_model(drawn.binary, "candidate", "baseline"), most=60))
def test_models_and_thresholds_for_many(case: Case) -> None:
    check(case, compared())


def test_models_of_classes() -> None:
    make = drawn.by_model(drawn.sparse, "candidate", "baseline")
    metrics = [metric("MultiClassConfusionMatrixAtThresholds", thresholds=[0.25, 0.5]), *catalogue.SPARSE_ONLY]
    models = [tfma.ModelSpec(name=n, label_key="label", is_baseline=n == "baseline") for n in ("candidate", "baseline")]
    check(drawn.case(make, 30, seed=3), config(spec(metrics), models=models, slices=KERAS_SLICES))


@pytest.mark.parametrize("least", [1, 5])
def test_small_slices_are_left_out(least: int) -> None:
    options = tfma.Options(min_slice_size={"value": least})
    evaluated = config(spec([metric("ExampleCount"), metric("Precision")]), slices=SLICES, options=options)
    wanted = check(drawn.case(drawn.binary, 20, seed=4, sizes=(7,)), evaluated)
    # TFMA leaves a note in the place of what is left out.
    assert any("__ERROR__" in found for found in wanted.metrics.values()) == (least > 1)


def test_metrics_of_two_models_that_take_single_rows() -> None:
    others = [
        spec([metric(n) for n in ("BooleanFlipRates", "SymmetricPredictionDifference")]),
        spec([metric("ModelCosineSimilarity")], example_weights={"unweighted": True}),
    ]
    make = drawn.by_model(weighing(drawn.binary), "candidate", "baseline")
    check(drawn.case(make, 30, seed=6, sizes=(11,), without=("weightless", "outside")), compared(*others))


def test_metrics_that_take_single_rows() -> None:
    metrics = [
        metric("ExactMatch"),
        metric("MeanAbsoluteError", module=metric_specs._TF_LOSSES_MODULE, name="loss"),
        metric("Huber", module=metric_specs._TF_LOSSES_MODULE),
        *ONE_OUTPUT,
    ]
    unweighted = spec([metric("Mean", feature_key_path=["features", "gain"])], example_weights={"unweighted": True})
    evaluated = config(spec(metrics, both=True), unweighted, slices=KERAS_SLICES)
    case = drawn.case(weighing(drawn.binary), 30, seed=7, sizes=(11,), without=("weightless",))
    check(replace(case, features=("gain",)), evaluated)


def test_plots_that_take_single_rows() -> None:
    metrics = [metric("MultiLabelConfusionMatrixPlot", thresholds=[0.25, 0.5]), *catalogue.MULTI_CLASS[2:6]]
    check(drawn.case(drawn.one_hot, 20, seed=11, sizes=(11,)), config(spec(metrics, both=True), slices=FEW_SLICES[:2]))


def test_metrics_of_queries() -> None:
    by_query = [
        metric("QueryStatistics"),
        metric("MinLabelPosition"),
        metric("NDCG", gain_key="gain", top_k_list=[1, 2]),
    ]
    queries = spec(by_query, query_key="query", example_weights={"unweighted": True})
    evaluated = config(queries, spec(ONE_OUTPUT, both=True), slices=FEW_SLICES[:1])
    case = drawn.case(weighing(drawn.binary), 30, seed=8, sizes=(11,), without=("fractional",))
    check(replace(case, features=("query", "gain")), evaluated)


@FEW
@given(case=cases(drawn.binary, most=50, without=("outside",)), data=st.data())
def test_order_and_batches_do_not_matter(case: Case, data: st.DataObject) -> None:
    rows = case.columns.num_rows
    order = data.draw(st.permutations(range(rows)))
    sizes = data.draw(st.lists(st.integers(1, 9), max_size=8).map(tuple))
    metrics = catalogue.COUNTS_AND_MEANS + catalogue.AREAS[:3] + catalogue.BINARY_PLOTS + catalogue.KERAS_BINARY[:2]
    evaluated = config(spec(metrics, both=True), slices=SLICES)
    assert_equal(ours(case.reordered(order, sizes), evaluated), ours(case, evaluated))


def _written(folder: Path, case: Case, evaluated: tfma.EvalConfig, *, as_stock: bool) -> Path:
    from fluent_pipe.evaluation.evaluator import evaluator

    extractors, evaluators = stock_stages(evaluated) if as_stock else ([], [evaluator(evaluated)])
    writers = model_eval_lib.default_writers(output_path=str(folder), eval_config=evaluated)

    def build(pipeline: beam.Pipeline) -> None:
        found = source(pipeline, case) | tfma.ExtractAndEvaluate(extractors=extractors, evaluators=evaluators)
        _ = found | tfma.WriteResults(writers=writers)

    Direct().run(build)
    return folder


@pytest.mark.parametrize("models", [("",), ("candidate", "baseline")], ids=len)
def test_written_files(models: tuple[str, ...], tmp_path: Path) -> None:
    make = drawn.by_model(drawn.binary, *models) if len(models) > 1 else drawn.binary
    metrics = [metric("Precision", threshold=_threshold(lower=0.5)), *catalogue.AREAS[:2], *catalogue.BINARY_PLOTS]
    evaluated = compared() if len(models) > 1 else config(spec(metrics, both=True), slices=SLICES)
    case = drawn.case(make, 30, seed=9, sizes=(11,), without=("outside",))
    folders = [_written(tmp_path / name, case, evaluated, as_stock=name == "stock") for name in ("ours", "stock")]
    assert sorted(p.name for p in folders[0].iterdir()) == sorted(p.name for p in folders[1].iterdir())
    for model in models:
        found, wanted = (_loaded(folder, model) for folder in folders)
        assert not list(differences(found, wanted, model))
    found, wanted = (validated([tfma.load_validation_result(str(folder))]) for folder in folders)
    assert not list(differences(found, wanted, "validations"))
    assert wanted["failures"]


def _loaded(folder: Path, model: str) -> dict[str, Any]:
    result = tfma.load_eval_result(str(folder), model_name=model)
    assert isinstance(result.config, config_pb2.EvalConfig)
    return {name: dict(getattr(result, name)) for name in ("slicing_metrics", "plots", "attributions")} | {
        "config": result.config
    }
