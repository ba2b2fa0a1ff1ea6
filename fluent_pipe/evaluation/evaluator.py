"""An evaluator for TFMA that works on whole batches.

It takes the place of ``tfma.evaluators.MetricsPlotsAndValidationsEvaluator`` at TFMA's own extension point, and gives
the same results: the same metrics of the same slices, plots, validations. It stands before the rows are taken apart.
"""

# What comes after the accumulators is TFMA's: some of it in private functions of its evaluator.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from tensorflow_model_analysis.evaluators import evaluator as tfma_evaluator
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as stock
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.extractors import extractor
from tensorflow_model_analysis.metrics import metric_specs, metric_types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.utils import model_util, util

from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation import bootstrap
from fluent_pipe.evaluation.combiners import summed_metrics
from fluent_pipe.evaluation.histogram import quick
from fluent_pipe.evaluation.row_metrics import RowMetrics, unbatched, with_slice_keys
from fluent_pipe.evaluation.slices import SliceKey, Slicing
from fluent_pipe.evaluation.summed_metrics import SummedMetric
from fluent_pipe.evaluation.table import Metrics, State, Table, slicings

MetricsDict = Mapping[metric_types.MetricKey, Any]
Computation = Any
"""One of TFMA's: of a metric, one derived from others, or across slices."""


def evaluator(
    eval_config: tfma.EvalConfig,
    *,
    run_after: str = extractor.LAST_EXTRACTOR_STAGE_NAME,
    also: beam.PCollection[tuple[Slicing, ...]] | None = None,
    overall: Sequence[tfma.MetricsSpec] = (),
) -> tfma.evaluators.Evaluator:
    """An evaluator for ``tfma.ExtractAndEvaluate`` and the transforms around it.

    Parameters
    ----------
    eval_config
        Models, metrics, slices, thresholds and options, as TFMA has them.
    run_after
        Stage after which the extracts are taken. They must still be batches: a record batch of the columns to slice by
        under ``tfma.ARROW_RECORD_BATCH_KEY``; labels, predictions and example weights as arrays of ``[rows]`` or
        ``[rows, classes]``, by model and output where there are several.
    also
        One element: slices to evaluate beside those of ``eval_config``, which are known only when the job runs.
    overall
        Plots beside the metrics of ``eval_config``, of the overall slice alone if that is evaluated; they are large.
        What ``eval_config`` has under the same name is taken instead. Left out with the jackknife.

    Raises
    ------
    EvaluationError
        For slices by SQL, and for differences between slices together with confidence intervals.

    Notes
    -----
    The common metrics are accumulated in whole batches (see :mod:`fluent_pipe.evaluation.summed_metrics`); all others
    go through TFMA row by row, into the same results. So do whole specs with a ``query_key``, and the jackknife.
    """
    return tfma.evaluators.Evaluator(
        stage_name="EvaluateWholeBatches", run_after=run_after, ptransform=_Evaluate(eval_config, also, overall)
    )


@dataclass(frozen=True)
class Computations:
    """An evaluation, taken apart.

    Parameters
    ----------
    metrics
        What is accumulated.
    derived
        Functions that add metrics to those of a slice, in order.
    across
        Comparisons of slices.
    baseline
        Name of the model that others are compared with.
    no_interval
        Metrics that get no confidence interval.
    derived_overall
        Functions that add more to the metrics of the overall slice, in order, after the others.
    """

    metrics: Metrics
    derived: tuple[Callable[[MetricsDict], MetricsDict], ...]
    across: tuple[metric_types.CrossSliceMetricComputation, ...]
    baseline: str | None
    no_interval: frozenset[metric_types.MetricKey]
    derived_overall: tuple[Callable[[MetricsDict], MetricsDict], ...] = ()

    @staticmethod
    def of(
        eval_config: tfma.EvalConfig, specs: list[tfma.MetricsSpec], overall: Sequence[Computation] = ()
    ) -> Computations:
        """Of the metrics in ``specs``, and of computations for the overall slice alone."""
        every = computations(eval_config, specs)
        more = [c for c in overall if c not in every]
        summed: list[SummedMetric] = []
        by_row: list[metric_types.MetricComputation] = []
        for computation in (c for c in every if isinstance(c, metric_types.MetricComputation)):
            fast, slow = summed_metrics(computation, eval_config)
            summed += fast
            by_row += slow
        baseline = model_util.get_baseline_model_spec(eval_config)
        return Computations(
            metrics=Metrics(
                slicings(_slicing_specs(eval_config)),
                tuple(summed),
                RowMetrics(by_row),
                _replicates(eval_config),
                overall=tuple(_in_batches(more, eval_config)),
            ),
            # Those that compute on confidence intervals themselves come last in TFMA; there they see plain numbers too.
            derived=tuple(quick(c) for c in every if isinstance(c, metric_types.DerivedMetricComputation)),
            across=tuple(c for c in every if isinstance(c, metric_types.CrossSliceMetricComputation)),
            baseline=baseline.name if baseline else None,
            no_interval=frozenset(
                metric_specs.metric_keys_to_skip_for_confidence_intervals(specs, eval_config=eval_config)
            ),
            derived_overall=tuple(quick(c) for c in more if isinstance(c, metric_types.DerivedMetricComputation)),
        )


def computations(eval_config: tfma.EvalConfig, specs: Sequence[tfma.MetricsSpec]) -> list[Computation]:
    """TFMA's computations behind the metrics in ``specs``, each once."""
    return list(dict.fromkeys(metric_specs.to_computations(list(specs), eval_config=eval_config)))


def _in_batches(overall: list[Computation], eval_config: tfma.EvalConfig) -> Iterator[SummedMetric]:
    for computation in (c for c in overall if isinstance(c, metric_types.MetricComputation)):
        summed, by_row = summed_metrics(computation, eval_config)
        if by_row:
            raise ValueError(f"{computation.keys} cannot be computed in whole batches, so not for one slice alone")
        yield from summed


def _slicing_specs(eval_config: tfma.EvalConfig) -> list[tfma.SlicingSpec]:
    specs = list(eval_config.slicing_specs)
    for across in eval_config.cross_slicing_specs:
        specs += [s for s in (across.baseline_spec, *across.slicing_specs) if s not in specs]
    return specs


def _replicates(eval_config: tfma.EvalConfig) -> int:
    if not eval_config.options.compute_confidence_intervals.value:
        return 0
    method = eval_config.options.confidence_intervals.method
    if method == config_pb2.ConfidenceIntervalOptions.JACKKNIFE:
        return 0
    if eval_config.cross_slicing_specs:
        raise EvaluationError(
            "Differences between slices have no confidence intervals here.",
            fix="Leave out cross_slicing_specs, or compute_confidence_intervals.",
        )
    return bootstrap.REPLICATES


class _Evaluate(beam.PTransform):  # type: ignore[misc]
    def __init__(
        self, eval_config: tfma.EvalConfig, also: beam.PCollection | None, overall: Sequence[tfma.MetricsSpec]
    ) -> None:
        super().__init__()
        self._config = eval_config
        self._also = also
        self._overall = overall

    def expand(self, extracts: beam.PCollection) -> dict[str, beam.PCollection]:
        here, stock_specs = self._shared_out()
        evaluations: dict[str, list[beam.PCollection]] = {}
        parts = []
        if here or not stock_specs:
            computed = Computations.of(self._config, here, self._more(stock_specs))
            parts.append(extracts | "WholeBatches" >> _WholeBatches(self._config, computed, self._also))
        if stock_specs:
            config = tfma.EvalConfig()
            config.CopyFrom(self._config)
            del config.metrics_specs[:]
            config.metrics_specs.extend(stock_specs)
            rows = extracts | "Rows" >> beam.FlatMap(_rows, slicings(_slicing_specs(config)))
            parts.append(rows | "RowByRow" >> tfma.evaluators.MetricsPlotsAndValidationsEvaluator(config).ptransform)
        for part in parts:
            for kind in (tfma.METRICS_KEY, tfma.PLOTS_KEY, tfma.ATTRIBUTIONS_KEY):
                evaluations.setdefault(kind, []).append(part[kind])
        result: dict[str, beam.PCollection] = tfma_evaluator.combine_dict_based_evaluations(evaluations)
        result[tfma.VALIDATIONS_KEY] = result[tfma.METRICS_KEY] | "Validate" >> beam.Map(
            metrics_validator.validate_metrics, self._config
        )
        return result

    def _more(self, stock_specs: list[tfma.MetricsSpec]) -> list[Computation]:
        """What is computed for the overall slice alone, less the plots that TFMA makes of it."""
        plots = {key for c in computations(self._config, stock_specs) for key in c.keys or () if not _is_private(key)}
        return [c for c in computations(self._config, self._overall) if not plots.intersection(c.keys or ())]

    def _shared_out(self) -> tuple[list[tfma.MetricsSpec], list[tfma.MetricsSpec]]:
        options = self._config.options
        jackknife = (
            options.compute_confidence_intervals.value
            and options.confidence_intervals.method == config_pb2.ConfidenceIntervalOptions.JACKKNIFE
        )
        specs = list(self._config.metrics_specs)
        theirs = [s for s in specs if jackknife or s.query_key]
        return [s for s in specs if s not in theirs], theirs


def _rows(extracts: Mapping[str, Any], slicing: Iterable[Any]) -> Iterator[dict[str, Any]]:
    batch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    keys: list[list[SliceKey]] = [[] for _ in range(batch.num_rows)]
    for members in (s.members(batch) for s in slicing):
        for row, code in zip(members.rows.tolist(), members.codes.tolist(), strict=True):
            keys[row].append(members.keys[code])
    if tfma.FEATURES_KEY not in extracts:  # without them every row would have the same query
        extracts = {**extracts, tfma.FEATURES_KEY: util.record_batch_to_tensor_values(to_tfx(batch))}
    for row, own in zip(unbatched(extracts), keys, strict=True):
        yield with_slice_keys(row, list(dict.fromkeys(own)))


class _WholeBatches(beam.PTransform):  # type: ignore[misc]
    def __init__(self, eval_config: tfma.EvalConfig, parts: Computations, also: beam.PCollection | None) -> None:
        super().__init__()
        self._config = eval_config
        self._parts = parts
        self._also = () if also is None else (beam.pvalue.AsSingleton(also),)

    def expand(self, extracts: beam.PCollection) -> dict[str, beam.PCollection]:
        parts = self._parts
        states = (
            extracts
            | "SumBySlice" >> beam.ParDo(_SumBySlice(parts.metrics), *self._also)
            | "MergeSlices" >> beam.CombinePerKey(MergeStates(parts.metrics))
        )
        found = states | "Metrics" >> beam.ParDo(_Results(parts))
        if self._config.cross_slicing_specs:
            found = (
                found
                | "Only" >> beam.MapTuple(lambda key, samples: (key, samples[0]))
                | "AcrossSlices" >> stock._AddCrossSliceMetrics(self._config.cross_slicing_specs, list(parts.across))
                | "Again" >> beam.MapTuple(lambda key, metrics: (key, [metrics]))
            )
        finished = found | "Differences" >> beam.Map(_finished, baseline=parts.baseline, skipped=parts.no_interval)
        smallest = self._config.options.min_slice_size.value
        if smallest > 1:
            counts = states | "Count" >> beam.MapTuple(lambda key, state: (key, state.rows))
            finished = finished | "LeaveOutSmall" >> slicer_lib.FilterOutSlices(counts, smallest)
        kinds = {
            tfma.METRICS_KEY: metric_types.MetricKey,
            tfma.PLOTS_KEY: metric_types.PlotKey,
            tfma.ATTRIBUTIONS_KEY: metric_types.AttributionsKey,
        }
        return {
            kind: finished | f"Only {kind}" >> beam.Map(stock._filter_by_key_type, of) for kind, of in kinds.items()
        }


class _SumBySlice(beam.DoFn):  # type: ignore[misc]
    """Accumulates a bundle; puts out one state a slice at its end."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def setup(self) -> None:
        self._metrics.setup()

    def start_bundle(self) -> None:
        self._table = Table(self._metrics)

    def process(self, extracts: Mapping[str, Any], also: tuple[Slicing, ...] = ()) -> Iterable[Any]:
        self._table.add(extracts, also)
        return ()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for entry in self._table.states():
            yield WindowedValue(entry, window.max_timestamp(), [window])


class MergeStates(beam.CombineFn):  # type: ignore[misc]
    """Merges the accumulators of a slice from all bundles."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def setup(self) -> None:
        self._metrics.setup()

    def create_accumulator(self) -> State:
        return State(0, [None] * len(self._metrics.in_batches), [])

    def add_input(self, accumulator: State, state: State) -> State:
        return State.merged([accumulator, state], self._metrics)

    def merge_accumulators(self, accumulators: Iterable[State]) -> State:
        return State.merged(accumulators, self._metrics)

    def extract_output(self, accumulator: State) -> State:
        return accumulator


class _Results(beam.DoFn):  # type: ignore[misc]
    """The metrics of a slice: what was accumulated, then what is derived from it; of every sample."""

    def __init__(self, parts: Computations) -> None:
        self._parts = parts

    def setup(self) -> None:
        self._parts.metrics.setup()

    def process(self, entry: tuple[SliceKey, State]) -> Iterator[tuple[SliceKey, list[MetricsDict]]]:
        key, state = entry
        with np.errstate(all="ignore"):  # TFMA divides by what may be 0, and means the NaN
            samples: list[Any] = state.outputs(self._parts.metrics, overall=key == ())
            for sample in samples:
                for derive in self._parts.derived:
                    sample.update(derive(sample))
            for derive in self._parts.derived_overall if key == () else ():
                samples[0].update(derive(samples[0]))
        # Comparisons of slices may look at private metrics too; nobody else does from here on, and they are large.
        yield key, samples if self._parts.across else [_public(sample) for sample in samples]


def _public(metrics: MetricsDict) -> dict[Any, Any]:
    return {key: value for key, value in metrics.items() if not _is_private(key)}


def _is_private(key: metric_types.MetricKey) -> bool:
    return bool(stock._is_private_metrics(key))


def _finished(
    found: tuple[Any, list[dict[Any, Any]]], *, baseline: str | None, skipped: frozenset[Any]
) -> tuple[Any, MetricsDict]:
    """Differences between models, then confidence intervals."""
    slice_key, samples = found
    for metrics in samples if baseline else ():
        for key, value in list(metrics.items()):
            before = key.make_baseline_key(baseline) if key.model_name != baseline and not key.is_diff else None
            if before in metrics and stock._is_metric_diffable(value):
                metrics[key.make_diff_key()] = value - metrics[before]
    samples = [_public(metrics) for metrics in samples]
    return slice_key, bootstrap.with_intervals(samples, skipped) if len(samples) > 1 else samples[0]
