"""Step to component, by one explicit match. Heavy imports happen inside the cases, for the steps that run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import Artifact
from fluent_pipe.errors import StepFailed
from fluent_pipe.steps.base import Ref, Step
from fluent_pipe.steps.data import CurateSchema, GenerateStatistics, InferSchema, Validate, WithSchema
from fluent_pipe.steps.delivery import PushTo
from fluent_pipe.steps.model import Evaluate, Preprocess, Train
from fluent_pipe.steps.sources import FromBeam, FromCsv, FromMemory, FromParquet, FromTfRecord

if TYPE_CHECKING:
    from fluent_pipe.components.base import Component, Context
    from fluent_pipe.components.inputs import ExamplesInput, SchemaInput, TransformGraphInput

Resolve = Callable[[str, Ref[Any]], tuple[Artifact | None, Mapping[str, Any] | None]]
"""Field name and reference to the stored artifact, or to the live PCollections of the same job."""


def lower(step: Step, context: Context, resolve: Resolve, earlier: Mapping[str, Artifact | None]) -> Component:  # noqa: C901
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

    match step:
        case FromCsv() | FromParquet() | FromTfRecord() | FromMemory():
            from fluent_pipe.components.read_examples import ReadExamples

            return ReadExamples(step, context)
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

            return train.Train(step, context, *_model_inputs(given))
        case Evaluate():
            from fluent_pipe.components import evaluate, inputs

            baseline = _folder(step.baseline, earlier.get("baseline"))
            return evaluate.Evaluate(step, context, given(inputs.Input, "model"), *_model_inputs(given), baseline)
        case PushTo():
            from fluent_pipe.components import inputs, push

            blessing = given(inputs.Input, "blessing") if step.blessing else None
            return push.PushTo(step, context, given(inputs.Input, "model"), blessing)
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


def _folder(asked: object, found: Artifact | None) -> Path | None:
    return Path(asked) if isinstance(asked, str) else found.path if found else None
