"""TFMA's own evaluator, one element a row, as the measure of ours; and how their results are compared."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma
from google.protobuf.message import Message
from tensorflow_model_analysis.proto import validation_result_pb2

from fluent_pipe.runners.direct import Direct

TOLERANCE = 1e-6

# Beam hands elements over in this process, so that a job's results can be left here under the job's number.
_COLLECTED: defaultdict[tuple[int, str], list[Any]] = defaultdict(list)
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Case:
    """Rows to judge.

    Parameters
    ----------
    columns
        What is sliced by, and other features: flat or list columns.
    labels, predictions, weights
        Arrays with a batch dimension, below model and output names where there are several.
    sizes
        Rows of each batch but the last, which takes the rest.
    features
        Names of columns that metrics themselves look at.
    """

    columns: pa.Table
    labels: Any
    predictions: Any
    weights: Any = None
    sizes: tuple[int, ...] = ()
    features: tuple[str, ...] = ()

    def batches(self) -> Iterator[dict[str, Any]]:
        """TFMA's extracts, as its extractors leave them."""
        rows = self.columns.num_rows
        table = self.columns.combine_chunks()
        borders = [0, *(b for b in itertools.accumulate(self.sizes) if b < rows), rows]
        nothing = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in table.schema], schema=table.schema)
        for start, end in itertools.pairwise(borders):
            part = table.slice(start, end - start).to_batches()
            extracts = {
                tfma.ARROW_RECORD_BATCH_KEY: part[0] if part else nothing,
                tfma.LABELS_KEY: _rows(self.labels, start, end),
                tfma.PREDICTIONS_KEY: _rows(self.predictions, start, end),
            }
            if self.weights is not None:
                extracts[tfma.EXAMPLE_WEIGHTS_KEY] = _rows(self.weights, start, end)
            if self.features:
                values = {name: table.column(name).to_numpy() for name in self.features}
                extracts[tfma.FEATURES_KEY] = _rows(values, start, end)
            yield extracts

    def reordered(self, order: Sequence[int], sizes: tuple[int, ...]) -> Case:
        """The same rows in another order and other batches."""

        def take(values: Any) -> Any:
            if isinstance(values, Mapping):
                return {k: take(v) for k, v in values.items()}
            return None if values is None else values[np.asarray(order)]

        return replace(
            self,
            columns=self.columns.take(pa.array(order)),
            labels=take(self.labels),
            predictions=take(self.predictions),
            weights=take(self.weights),
            sizes=sizes,
        )


def _rows(values: Any, start: int, end: int) -> Any:
    if isinstance(values, Mapping):
        return {k: _rows(v, start, end) for k, v in values.items()}
    return None if values is None else values[start:end]


@dataclass
class Results:
    """What an evaluator found, by slice; and its validations as they came."""

    metrics: dict[Any, dict[Any, Any]] = field(default_factory=dict)
    plots: dict[Any, dict[Any, Any]] = field(default_factory=dict)
    attributions: dict[Any, dict[Any, Any]] = field(default_factory=dict)
    validations: list[Any] = field(default_factory=list)


def stock(case: Case, config: tfma.EvalConfig) -> Results:
    """What TFMA's own extractors and evaluator say."""
    return _run(case, lambda batches: _stock(batches, config))


def ours(case: Case, config: tfma.EvalConfig, *, overall: Sequence[tfma.MetricsSpec] = ()) -> Results:
    """What the evaluator that takes whole batches says."""
    from fluent_pipe.evaluation.evaluator import evaluator

    made = evaluator(config, overall=overall)
    assert made.run_after == tfma.extractors.extractor.LAST_EXTRACTOR_STAGE_NAME
    return _run(case, lambda batches: batches | made.stage_name >> made.ptransform)


def stock_stages(config: tfma.EvalConfig) -> tuple[list[tfma.extractors.Extractor], list[tfma.evaluators.Evaluator]]:
    """TFMA's own extractors and evaluator for batches whose labels, predictions and weights are there already."""
    listed = tfma.extractors.Extractor(stage_name="AsLists", ptransform=beam.Map(_as_tfx))
    extractors = [
        listed,
        tfma.extractors.FeaturesExtractor(config),
        tfma.extractors.UnbatchExtractor(),
        tfma.extractors.SliceKeyExtractor(eval_config=config, materialize=False),
    ]
    return extractors, [tfma.evaluators.MetricsPlotsAndValidationsEvaluator(eval_config=config)]


def _stock(batches: beam.PCollection, config: tfma.EvalConfig) -> dict[str, Any]:
    extractors, (evaluator,) = stock_stages(config)
    for extractor in extractors:
        batches = batches | extractor.stage_name >> extractor.ptransform
    found: dict[str, Any] = batches | evaluator.stage_name >> evaluator.ptransform
    return found


def _as_tfx(extracts: dict[str, Any]) -> dict[str, Any]:
    """TFMA's feature extractor takes list columns that do not begin inside of their buffers, and none that is empty."""
    batch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    columns = {"row within batch": pa.array([[i] for i in range(batch.num_rows)], pa.list_(pa.int64()))}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        values = column.to_pylist()
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            kind = column.type
        else:
            kind, values = pa.list_(column.type), [None if v is None else [v] for v in values]
        if any(v is not None for v in values):
            columns[name] = pa.array(values, kind)
    return {**extracts, tfma.ARROW_RECORD_BATCH_KEY: pa.RecordBatch.from_pydict(columns)}


def source(pipeline: beam.Pipeline, case: Case) -> beam.PCollection:
    """The case's batches; reshuffled, so that the job may take them apart as it would a real input."""
    return pipeline | "Batches" >> beam.Create(list(case.batches())) | beam.Reshuffle()


def _run(case: Case, evaluate: Callable[[beam.PCollection], dict[str, Any]]) -> Results:
    number = next(_NUMBERS)
    kinds = (tfma.METRICS_KEY, tfma.PLOTS_KEY, tfma.ATTRIBUTIONS_KEY, tfma.VALIDATIONS_KEY)

    def build(pipeline: beam.Pipeline) -> None:
        found = evaluate(source(pipeline, case))
        assert set(found) == set(kinds)
        for kind, values in found.items():
            _ = values | f"Collect[{kind}]" >> beam.Map(_collect, number, kind)

    Direct().run(build)
    results = Results()
    for kind in kinds[:3]:
        by_slice = _COLLECTED.pop((number, kind), [])
        assert max(Counter(k for k, _ in by_slice).values(), default=1) == 1, "a slice came twice"
        setattr(results, kind, dict(by_slice))
    results.validations = _COLLECTED.pop((number, kinds[3]), [])
    return results


def _collect(element: Any, number: int, kind: str) -> None:
    _COLLECTED[(number, kind)].append(element)


def assert_equal(found: Results, wanted: Results, *, plots: bool = True) -> None:
    """Same slices, same keys, same values; what differs is listed, ``found`` first."""
    different = list(differences(found.metrics, wanted.metrics, "metrics"))
    if plots:
        different += differences(found.plots, wanted.plots, "plots")
    different += differences(found.attributions, wanted.attributions, "attributions")
    different += differences(validated(found.validations), validated(wanted.validations), "validations")
    more = f"\n... and {len(different) - 30} more" if len(different) > 30 else ""
    assert not different, f"{len(different)} differences\n" + "\n".join(different[:30]) + more


def validated(results: Sequence[validation_result_pb2.ValidationResult]) -> dict[str, Any]:
    """Validation results without the order in which slices, failures and details came."""
    failures: dict[str, Any] = {}
    details: Counter[str] = Counter()
    for result in results:
        for detail in result.validation_details.slicing_details:
            kept = type(detail)()
            kept.CopyFrom(detail)
            kept.ClearField("num_matching_slices")
            details[_text(kept)] += detail.num_matching_slices
        for judged in result.metric_validations_per_slice:
            where = f"{_text(judged.slice_key)} | {_text(judged.cross_slice_key)}"
            for failure in judged.failures:
                key = f"{where}: {_text(failure.metric_key)} {_text(failure.metric_threshold)}"
                assert key not in failures, f"twice: {key}"
                failures[key] = failure
    flags = {name: Counter(bool(getattr(r, name)) for r in results) for name in ("validation_ok", "missing_thresholds")}
    rubber = Counter(bool(r.rubber_stamp) for r in results)
    missing = Counter(_text(s) for r in results for s in (*r.missing_slices, *getattr(r, "missing_cross_slices", ())))
    return {"failures": failures, "details": details, "missing": missing, "rubber stamp": rubber, **flags}


def _text(message: Message) -> str:
    # Maps within slicing specs have no order of their own.
    return "" if message is None else repr(message.SerializeToString(deterministic=True))


def differences(found: Any, wanted: Any, where: str) -> Iterator[str]:
    """Where two values differ, by path."""
    both = (found, wanted)
    if any(isinstance(v, np.ndarray) for v in both):
        yield from _array_differences(found, wanted, where)
    elif isinstance(wanted, Message) and type(found) is type(wanted):
        if found.SerializeToString(deterministic=True) != wanted.SerializeToString(deterministic=True):
            for name in sorted({f.name for message in both for f, _ in message.ListFields()}):
                yield from differences(getattr(found, name), getattr(wanted, name), f"{where}.{name}")
    elif all(isinstance(v, Mapping) for v in both):
        yield from _mapping_differences(found, wanted, where)
    elif all(_is_sequence(v) for v in both):
        if len(found) != len(wanted):
            yield f"{where} has {len(found)} values, not {len(wanted)}"
        for i, (one, other) in enumerate(zip(found, wanted, strict=False)):
            yield from differences(one, other, f"{where}[{i}]")
    elif all(_is_number(v) for v in both):
        if not _close(float(found), float(wanted)):
            yield f"{where} is {found!r}, not {wanted!r}"
    elif type(found) is not type(wanted) or found != wanted:
        yield f"{where} is {type(found).__name__} {found!r}, not {type(wanted).__name__} {wanted!r}"


def _mapping_differences(found: Mapping[Any, Any], wanted: Mapping[Any, Any], where: str) -> Iterator[str]:
    for key in sorted({*found, *wanted}, key=str):
        if key in found and key in wanted:
            yield from differences(found[key], wanted[key], f"{where}[{_name(key)}]")
        else:
            yield f"{where}[{_name(key)}] is only in {'ours' if key in found else 'stock'}"


def _array_differences(found: Any, wanted: Any, where: str) -> Iterator[str]:
    if not isinstance(found, np.ndarray) or not isinstance(wanted, np.ndarray):
        yield f"{where} is {type(found).__name__} {found!r}, not {type(wanted).__name__} {wanted!r}"
    elif found.shape != wanted.shape or found.dtype != wanted.dtype:
        yield f"{where} is {found.dtype} {found.shape}, not {wanted.dtype} {wanted.shape}"
    else:
        for i, (one, other) in enumerate(zip(found.ravel().tolist(), wanted.ravel().tolist(), strict=True)):
            yield from differences(one, other, f"{where}[{i}]")


def _is_sequence(value: Any) -> bool:
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str | bytes | Mapping)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _close(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other) or math.isinf(one) or math.isinf(other):
        return one == other or (math.isnan(one) and math.isnan(other))
    return abs(one - other) <= TOLERANCE * max(1.0, abs(one), abs(other))


def _name(key: Any) -> str:
    if not isinstance(key, tfma.metrics.MetricKey):
        return repr(key)
    named = {k: v for k, v in key._asdict().items() if v}
    return f"{type(key).__name__}({', '.join(f'{k}={v}' for k, v in named.items())})"
