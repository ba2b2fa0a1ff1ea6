"""``evaluate``: the exported model on raw rows, TFMA's metrics by slice, and the blessing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma

from fluent_pipe import progress
from fluent_pipe.artifacts import Folder, Model, address_of, folder_of
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import ExamplesInput, Input, SchemaInput, TransformGraphInput
from fluent_pipe.components.library_files import delivered_files
from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation import config, curves, judge, results
from fluent_pipe.evaluation.cuts import cuts
from fluent_pipe.evaluation.discovery import Found, worse
from fluent_pipe.evaluation.evaluator import evaluator
from fluent_pipe.evaluation.extracts import extractor, losses
from fluent_pipe.evaluation.loss_sums import LossSums
from fluent_pipe.evaluation.slices import Slicing
from fluent_pipe.evaluation.transformed import source_columns
from fluent_pipe.remote import joined
from fluent_pipe.steps.model import Evaluate as EvaluateStep
from fluent_pipe.training.raw_inputs import columns_read


class Evaluate(Component):
    """Judges a model on one split.

    What is judged is what would be pushed: the SavedModel, on raw rows, through its ``serving_raw`` signature. Label
    and weight are the TFT graph's. An earlier model predicts on the same rows in the same pass.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    model, graph, examples, schema
        Inputs.
    baseline
        An earlier blessed ``Model`` artifact, or its folder, or None.
    """

    def __init__(
        self,
        step: EvaluateStep,
        context: Context,
        model: Input[Model],
        graph: TransformGraphInput,
        examples: ExamplesInput,
        schema: SchemaInput,
        baseline: Folder | None,
    ) -> None:
        super().__init__(context)
        self._step = step
        self._model = model
        self._graph = graph
        self._examples = examples
        self._schema = schema
        self._baseline = baseline

    def plan(self) -> config.Plan:
        """What will be computed.

        Raises
        ------
        EvaluationError
            If there is no label, or a metric or slice column cannot be used.
        """
        facts = self._graph.value.facts()
        if facts.get("label") is None or facts.get("task") is None:
            raise EvaluationError(
                "There is no label to evaluate against.", fix="Name it: preprocess(..., label='the column')."
            )
        plan = config.plan(
            self._step,
            task=facts["task"],
            label=facts["label"],
            weight=facts.get("weight"),
            columns=(*self._raw_columns(), *facts["features"]),
            baseline=self._baseline is not None,
            class_count=facts.get("class_count"),
        )
        return replace(
            plan,
            search=self._search(plan),
            classes=tuple(map(str, facts["classes"])) if facts.get("classes") else None,
            label_range=self._label_range(plan),
        )

    def _raw_columns(self) -> tuple[str, ...]:
        return tuple(self._examples.value.facts()["columns"])

    def build(self, pipeline: beam.Pipeline) -> Live:
        """Judge every batch, hand the judged rows to TFMA, then read its results and decide."""
        plan = self.plan()
        split = self._step.split
        progress.expect(self.context.step, self._examples.row_count([split]))
        models: dict[str, Folder] = {config.CANDIDATE: self._model.value}
        if self._baseline is not None:
            models[config.BASELINE] = self._baseline
        work = judge.Judge(
            plan,
            self.context,
            graph=self._graph.value,
            models=models,
            load=_served,
            raw_columns=self._raw_columns(),
        )
        outputs = self._examples.read(pipeline, split) | f"Predict[{split}]" >> beam.ParDo(work).with_outputs(
            judge.COUNTS, main="judged"
        )
        found = outputs["judged"] | "SearchSlices" >> _SearchSlices(plan) if plan.search else None
        with delivered_files() if self.context.is_remote else nullcontext():
            written = outputs["judged"] | "TFMA" >> _Tfma(plan, self.context.staging, models, found)
        baseline = address_of(self._baseline) if self._baseline is not None else None
        finish = partial(_finish, self.context, plan, split, baseline)
        counts = beam.pvalue.AsList(outputs[judge.COUNTS])
        listed = beam.pvalue.AsSingleton(found) if found else None
        waits = [beam.pvalue.AsList(w) for w in _collections(written)]
        return {"": once(pipeline, "Bless", self.context, finish, counts, listed, *waits)}

    def _label_range(self, plan: config.Plan) -> tuple[float, float] | None:
        if plan.task != "regression":
            return None
        return curves.label_range(self._graph.value.addresses(self._step.split), plan.label)

    def _search(self, plan: config.Plan) -> config.Search | None:
        """How to look for slices, if that was asked for; decided from the stored rows.

        Of columns with few values all are candidates, but not what the label or the weight is made from: a slice by
        the answer itself is worse by definition. Numeric columns with many values are cut into buckets if the model
        reads them; others are often known only afterwards, such as the delay of a flight.
        """
        if self._step.depth is None:
            return None
        roles = [name for name in (plan.label, plan.weight) if name is not None]
        answers = source_columns(str(self._graph.value.path), roles).union(roles)
        columns = [c for c in self._raw_columns() if c not in answers]
        read = columns_read(self._model.value.serving, columns)
        named = plan.slice_columns()
        found = cuts(self._examples.value.addresses(self._step.split), columns)
        chosen = (c for c in found if not c.edges or ((read is None or c.column in read) and c.column not in named))
        return config.Search(tuple(chosen), self._step.depth)


def _saved_model(model: Folder) -> Path:
    place = folder_of(model)
    for folder in (place / "Format-Serving", place):
        if (folder / "saved_model.pb").is_file():
            return folder
    raise EvaluationError(
        "There is no SavedModel to compare with.",
        where=address_of(model),
        fix="Give evaluate(..., baseline=) the folder of a trained model, or None.",
    )


def _served(model: Folder) -> judge.Served:
    from fluent_pipe.training.raw_inputs import ServedModel

    return ServedModel(str(_saved_model(model)))


class _SearchSlices(beam.PTransform):  # type: ignore[misc]
    """Judged batches to one list of the slices where the model is worse."""

    def __init__(self, plan: config.Plan) -> None:
        super().__init__()
        self._plan = plan

    def expand(self, judged: beam.PCollection) -> beam.PCollection[list[Found]]:
        depth = self._plan.search.depth if self._plan.search else 0
        return (
            judged
            | "Losses" >> beam.Map(losses, self._plan)
            | "SumBySlice" >> beam.CombineGlobally(LossSums(depth))
            | "Worse" >> beam.Map(_worst)
        )


MOST_FOUND = 100
"""Slices of which all metrics are computed; the worst come first."""


def _worst(sums: Any) -> list[Found]:
    return worse(sums)[:MOST_FOUND]


def _slicings(found: list[Found]) -> tuple[Slicing, ...]:
    keys: dict[tuple[str, ...], set[Any]] = {}
    for one in found:
        keys.setdefault(tuple(one.slice), set()).add(tuple(one.slice.items()))
    return tuple(Slicing(columns, only=frozenset(only)) for columns, only in keys.items())


class _Tfma(beam.PTransform):  # type: ignore[misc]
    """Judged batches to TFMA's files.

    These are the parts of ``tfma.ExtractEvaluateAndWriteResults``. As a whole it refuses limits on change where it is
    not given the models themselves, and here they have predicted already.
    """

    def __init__(
        self, plan: config.Plan, folder: str, models: Mapping[str, Folder], worse: beam.PCollection | None = None
    ) -> None:
        super().__init__()
        self._plan = plan
        self._folder = folder
        self._models = models
        self._worse = worse

    def expand(self, judged: beam.PCollection) -> dict[str, Any]:
        eval_config = config.eval_config(self._plan)
        plots = curves.specs(self._plan)
        also = None if self._worse is None else self._worse | "Slicings" >> beam.Map(_slicings)
        evaluators = [evaluator(eval_config, also=also, overall=plots)]
        evaluation = (
            judged
            | "Extracts" >> tfma.BatchedInputsToExtracts()
            | "Evaluate" >> tfma.ExtractAndEvaluate(extractors=[extractor(self._plan)], evaluators=evaluators)
        )
        kinds = (tfma.METRICS_KEY, tfma.VALIDATIONS_KEY, tfma.PLOTS_KEY)
        paths = {kind: joined(self._folder, kind) for kind in kinds}
        locations = {config.tfma_name(self._plan, name): str(_saved_model(m)) for name, m in self._models.items()}
        told = tfma.EvalConfig()
        told.CopyFrom(eval_config)
        told.metrics_specs.extend(plots)
        writers = [
            tfma.writers.EvalConfigWriter(self._folder, eval_config=told, model_locations=locations),
            tfma.writers.MetricsPlotsAndValidationsWriter(paths, eval_config=eval_config),
        ]
        written: dict[str, Any] = evaluation | "Write" >> tfma.WriteResults(writers=writers)
        return written


def _collections(written: Any) -> list[beam.PCollection]:
    if isinstance(written, dict):
        return [c for value in written.values() for c in _collections(value)]
    return [written] if isinstance(written, beam.PCollection) else []


def _finish(
    context: Context,
    plan: config.Plan,
    split: str,
    baseline: str | None,
    counts: list[judge.Counts],
    found: list[Found] | None,
    *_: Any,
) -> dict[str, Any]:
    judge.check(counts, split=split)
    context.gather()  # what TFMA's writers left
    return results.write(context.folder, plan, baseline=baseline, found=found)
