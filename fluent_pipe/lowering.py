"""Step to component, by one explicit match. Heavy imports happen inside the cases, for the steps that run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import Artifact, Examples, Folder
from fluent_pipe.errors import StepFailed
from fluent_pipe.steps.base import Earlier, Ref, Step
from fluent_pipe.steps.data import CurateSchema, GenerateStatistics, InferSchema, Validate, WithSchema
from fluent_pipe.steps.delivery import Approve, BulkInfer, InfraValidate, PushTo
from fluent_pipe.steps.model import Evaluate, Preprocess, Train, WithBaseModel
from fluent_pipe.steps.own import Apply, Filter, Map
from fluent_pipe.steps.sources import FromBeam, FromCsv, FromMemory, FromParquet, FromTfRecord
from fluent_pipe.steps.tuning import Tune, WithHyperparameters

if TYPE_CHECKING:
    from fluent_pipe.components.base import Component, Context
    from fluent_pipe.components.inputs import ExamplesInput, SchemaInput, TransformGraphInput

Resolve = Callable[[str, Ref[Any]], tuple[Artifact | None, Mapping[str, Any] | None]]
"""Field name and reference to the stored artifact, or to the live PCollections of the same job."""


def lower(  # noqa: C901 - one flat match
    step: Step, context: Context, resolve: Resolve, earlier: Mapping[str, Artifact | None]
) -> Component:
    """The component that does ``step``.

    Parameters
    ----------
    context
        Where the component writes.
    resolve
        Gives each input.
    earlier
        Artifacts of earlier runs, by field name.

    Raises
    ------
    StepFailed
        If no component does this step.
    """

    def given(kind: Callable[..., Any], field: str) -> Any:
        artifact, live = resolve(field, step.inputs()[field])
        return kind(field, artifact=artifact, live=live)

    def value(field: str) -> Any:
        """An input whose value is needed, and which may not have been asked for."""
        return resolve(field, step.inputs()[field])[0] if field in step.inputs() else None

    def verdicts() -> dict[str, Any]:
        from fluent_pipe.components.inputs import Input

        return {f: given(Input, f) for f in ("blessing", "infra", "approval") if f in step.inputs()}

    match step:
        case FromCsv() | FromParquet() | FromTfRecord() | FromMemory():
            from fluent_pipe.components.read_examples import ReadExamples

            return ReadExamples(step, context)
        case Filter() | Map():
            from fluent_pipe.components import inputs, rows

            return rows.ChangeRows(step, context, given(inputs.ExamplesInput, "examples"))
        case Apply():
            from fluent_pipe.components import inputs, own

            flowing = Examples if step.component.builds else None
            kinds = {f: inputs.ExamplesInput if r.type is flowing else inputs.Input for f, r in step.given}
            return own.Apply(step, context, {field: given(kind, field) for field, kind in kinds.items()})
        case FromBeam():
            from fluent_pipe.components.read_beam import ReadBeam

            return ReadBeam(step, context)
        case GenerateStatistics():
            from fluent_pipe.components import generate_statistics, inputs

            return generate_statistics.GenerateStatistics(step, context, given(inputs.ExamplesInput, "examples"))
        case InferSchema():
            from fluent_pipe.components import inputs, schema

            return schema.InferSchema(step, context, given(inputs.StatisticsInput, "statistics"))
        case WithSchema():
            from fluent_pipe.components import schema

            return schema.WithSchema(step, context)
        case CurateSchema():
            from fluent_pipe.components import inputs, schema

            return schema.CurateSchema(step, context, given(inputs.SchemaInput, "schema"))
        case Validate():
            from fluent_pipe.components import inputs, validate

            statistics = given(inputs.StatisticsInput, "statistics")
            against = _folder(step.against, earlier.get("against"))
            return validate.Validate(step, context, statistics, given(inputs.SchemaInput, "schema"), against)
        case Preprocess():
            from fluent_pipe.components import inputs, preprocess

            examples = given(inputs.ExamplesInput, "examples")
            return preprocess.Preprocess(step, context, examples, given(inputs.SchemaInput, "schema"))
        case Train():
            from fluent_pipe.components import train
            from fluent_pipe.training.warm_start import Beginning

            begin = Beginning(
                hyperparameters=value("hyperparameters"),
                base_model=value("base_model"),
                earlier=_folder(step.warm_start, earlier.get("warm_start")),
                asked=step.warm_start is not None,
                own=isinstance(step.warm_start, Earlier),
            )
            return train.Train(step, context, *_model_inputs(given), begin=begin)
        case WithBaseModel():
            from fluent_pipe.components import base_model

            return base_model.WithBaseModel(step, context)
        case Tune():
            from fluent_pipe.components import tune

            graph, _, schema_ = _model_inputs(given)
            return tune.Tune(step, context, graph, schema_, value("base_model"))
        case WithHyperparameters():
            from fluent_pipe.components import hyperparameters

            return hyperparameters.WithHyperparameters(step, context)
        case Evaluate():
            from fluent_pipe.components import evaluate, inputs

            baseline = _folder(step.baseline, earlier.get("baseline"))
            return evaluate.Evaluate(step, context, given(inputs.Input, "model"), *_model_inputs(given), baseline)
        case Approve():
            from fluent_pipe.components import approve, inputs

            return approve.Approve(step, context, given(inputs.Input, "model"), **verdicts())
        case InfraValidate():
            from fluent_pipe.components import infra_validate, inputs

            examples = given(inputs.ExamplesInput, "examples")
            return infra_validate.InfraValidate(step, context, given(inputs.Input, "model"), examples)
        case PushTo():
            from fluent_pipe.components import inputs, push

            return push.PushTo(step, context, given(inputs.Input, "model"), **verdicts())
        case BulkInfer():
            from fluent_pipe.components import bulk_infer, inputs

            return bulk_infer.BulkInfer(
                step,
                context,
                given(inputs.Input, "model"),
                given(inputs.ExamplesInput, "examples"),
                given(inputs.TransformGraphInput, "graph"),
                tuple(verdicts().values()),
            )
    raise StepFailed(f"No component does {step.call}().", step=step.id)


def _model_inputs(
    given: Callable[[Callable[..., Any], str], Any],
) -> tuple[TransformGraphInput, ExamplesInput, SchemaInput]:
    from fluent_pipe.components import inputs

    return (
        given(inputs.TransformGraphInput, "graph"),
        given(inputs.ExamplesInput, "examples"),
        given(inputs.SchemaInput, "schema"),
    )


def _folder(asked: object, found: Artifact | None) -> Folder | None:
    return Path(asked) if isinstance(asked, str) else found
