"""A step as TFMA's ``EvalConfig``: models, metrics, slices and thresholds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tensorflow_model_analysis as tfma
from google.protobuf import text_format
from tensorflow_model_analysis.proto import config_pb2

from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.cuts import Cut
from fluent_pipe.steps import metrics
from fluent_pipe.steps.limits import ChangeLimit, Limit, SliceColumns, ValueLimit
from fluent_pipe.steps.model import Evaluate

CANDIDATE = tfma.CANDIDATE_KEY
BASELINE = tfma.BASELINE_KEY


@dataclass(frozen=True)
class Requirement:
    """One limit on one metric in one set of slices."""

    metric: str
    limit: Limit
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """Slices to look for.

    Parameters
    ----------
    cuts
        How columns are cut.
    depth
        Most columns of a slice.
    """

    cuts: tuple[Cut, ...]
    depth: int


@dataclass(frozen=True)
class Plan:
    """What an evaluation computes; pickles, so that it travels with DoFns.

    Parameters
    ----------
    task
        Kind of label.
    label, weight
        Transformed features with these roles.
    metrics
        What to compute.
    slices
        Slice columns; the first is ``()``, the whole split.
    requirements
        What must hold.
    baseline
        Whether an earlier model is compared with.
    class_count
        Classes of a multi-class label, where they are known.
    classes
        Their names, where they have any.
    label_range
        Between which numbers most labels of a regression lie; None where that is not known.
    confidence_intervals
        Whether metrics get intervals.
    config
        More of it, as the text of a ``tfma.EvalConfig``.
    search
        How to look for more slices; None for no search.
    """

    task: str
    label: str
    weight: str | None
    metrics: tuple[metrics.Metric, ...]
    slices: SliceColumns
    requirements: tuple[Requirement, ...]
    baseline: bool
    class_count: int | None = None
    classes: tuple[str, ...] | None = None
    label_range: tuple[float, float] | None = None
    confidence_intervals: bool = False
    config: str | None = None
    search: Search | None = None

    @property
    def primary_metric(self) -> str:
        """The metric to sort slices by."""
        return metrics.primary(self.metrics, task=self.task)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, the candidate first."""
        return (CANDIDATE, BASELINE) if self.baseline else (CANDIDATE,)

    def slice_columns(self) -> list[str]:
        """Every column that a slice needs, once; not those that are searched."""
        return list(dict.fromkeys([c for columns in self.slices for c in columns] + config_columns(self.config)))

    @property
    def needs_features(self) -> bool:
        """Whether metrics look at columns of the input."""
        return bool(self.config and re.search(r"query_key|feature|gain_key", self.config))


def plan(
    step: Evaluate,
    *,
    task: str,
    label: str,
    weight: str | None,
    columns: Iterable[str],
    baseline: bool,
    class_count: int | None = None,
) -> Plan:
    """Check a step against its data.

    Parameters
    ----------
    task, label, weight, class_count
        As the transform graph says.
    columns
        What can be sliced by: columns of the input, then transformed features.
    baseline
        Whether there is an earlier model.

    Raises
    ------
    EvaluationError
        For an unknown metric, one that does not fit the label, or a slice column that does not exist.
    """
    requirements = tuple(_requirements(step, task))
    chosen = metrics.chosen(step.metrics, tuple(r.metric for r in requirements), task=task, weighted=weight is not None)
    slices = {frozenset(s): tuple(s) for s in ((), *step.slices, *(r.columns for r in requirements))}
    metrics.check_columns([*slices.values(), config_columns(step.config)], columns)
    return Plan(
        task,
        label,
        weight,
        chosen,
        tuple(slices.values()),
        requirements,
        baseline,
        class_count,
        confidence_intervals=step.confidence_intervals,
        config=step.config,
    )


def parsed(config: str) -> tfma.EvalConfig:
    """A ``tfma.EvalConfig`` from its text.

    Raises
    ------
    EvaluationError
        If it is none.
    """
    try:
        return text_format.Parse(config, tfma.EvalConfig())
    except text_format.ParseError as error:
        raise EvaluationError(
            f"config= of evaluate() is no tfma.EvalConfig: {error}.", fix="Give the object, or a file of its text."
        ) from error


def config_columns(config: str | None) -> list[str]:
    """The columns that the slices of a ``tfma.EvalConfig`` need."""
    if config is None:
        return []
    read = parsed(config)
    across = [s for c in read.cross_slicing_specs for s in (c.baseline_spec, *c.slicing_specs)]
    return [column for spec in (*read.slicing_specs, *across) for column in (*spec.feature_keys, *spec.feature_values)]


def _requirements(step: Evaluate, task: str) -> Iterator[Requirement]:
    for name, limits in step.require:
        metric = metrics.resolve(name, task=task)
        for limit in limits if isinstance(limits, tuple) else (limits,):
            for columns in limit.slices or ((),):
                yield Requirement(metric.name, limit, tuple(columns))


def eval_config(plan: Plan) -> tfma.EvalConfig:
    """The plan in TFMA's words. Change thresholds are left out when there is no baseline to compare with."""
    weight = plan.weight or ""
    models = [
        tfma.ModelSpec(
            name=tfma_name(plan, name),
            label_key=plan.label,
            prediction_key="prediction" if name == CANDIDATE else f"{name}_prediction",
            example_weight_key=weight,
            is_baseline=name == BASELINE,
        )
        for name in plan.models
    ]
    names = [tfma_name(plan, name) for name in plan.models]
    counted = tfma.MetricsSpec(
        metrics=[_metric(plan, m) for m in plan.metrics if m.name == "example_count"],
        model_names=names,
        example_weights=config_pb2.ExampleWeightOptions(unweighted=True),
    )
    others = tfma.MetricsSpec(
        metrics=[_metric(plan, m) for m in plan.metrics if m.name != "example_count"], model_names=names
    )
    specs = [counted, others] if others.metrics else [counted]
    config = tfma.EvalConfig(
        model_specs=models,
        metrics_specs=specs,
        slicing_specs=[tfma.SlicingSpec(feature_keys=columns) for columns in plan.slices],
    )
    if plan.confidence_intervals:
        config.options.compute_confidence_intervals.value = True
        config.options.confidence_intervals.method = config_pb2.ConfidenceIntervalOptions.POISSON_BOOTSTRAP
    if plan.config:
        _add(config, parsed(plan.config), names if plan.baseline else [])
    return config


def _add(config: tfma.EvalConfig, more: tfma.EvalConfig, models: list[str]) -> None:
    """What a person's own config says beside the models, added to ``config``."""
    for spec in more.metrics_specs:
        del spec.model_names[:]
        spec.model_names.extend(models)
    config.metrics_specs.extend(more.metrics_specs)
    config.slicing_specs.extend(s for s in more.slicing_specs if s not in config.slicing_specs)
    config.cross_slicing_specs.extend(more.cross_slicing_specs)
    config.options.MergeFrom(more.options)


def tfma_name(plan: Plan, model: str) -> str:
    """A model's name in TFMA's results; a model that is alone has none there."""
    return model if plan.baseline else ""


def _metric(plan: Plan, metric: metrics.Metric) -> tfma.MetricConfig:
    config = tfma.MetricConfig(class_name=metric.class_name)
    for requirement in plan.requirements:
        if requirement.metric == metric.name:
            config.per_slice_thresholds.extend(
                tfma.PerSliceMetricThreshold(
                    # The empty spec is the whole split; a threshold without a spec would hold for every slice.
                    slicing_specs=[tfma.SlicingSpec(feature_keys=requirement.columns)],
                    threshold=threshold,
                )
                for threshold in _thresholds(requirement.limit, baseline=plan.baseline)
            )
    return config


def _thresholds(limit: Limit, *, baseline: bool) -> Iterator[tfma.MetricThreshold]:
    if isinstance(limit, ValueLimit):
        bounds = {"lower_bound": limit.at_least, "upper_bound": limit.at_most}
        yield tfma.MetricThreshold(
            value_threshold=tfma.GenericValueThreshold(
                **{name: {"value": bound} for name, bound in bounds.items() if bound is not None}
            )
        )
    elif baseline:
        yield from _change_thresholds(limit)


def _change_thresholds(limit: ChangeLimit) -> Iterator[tfma.MetricThreshold]:
    # TFMA's change threshold has one bound and a direction, so a limit with two bounds is two thresholds.
    kind = "relative" if limit.relative else "absolute"
    for bound, direction in (
        (limit.at_least, tfma.MetricDirection.HIGHER_IS_BETTER),
        (limit.at_most, tfma.MetricDirection.LOWER_IS_BETTER),
    ):
        if bound is not None:
            change = tfma.GenericChangeThreshold(direction=direction, **{kind: {"value": bound}})
            yield tfma.MetricThreshold(change_threshold=change)
