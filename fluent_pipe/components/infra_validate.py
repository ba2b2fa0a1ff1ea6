"""``infra_validate``: a fresh process serves the model that is about to be pushed, and answers real rows."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam

from fluent_pipe import progress
from fluent_pipe.arrow.parquet import spread_rows
from fluent_pipe.artifacts import Examples, Model
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.infra_check import InfraCheck
from fluent_pipe.components.inputs import ExamplesInput, Input
from fluent_pipe.errors import ArgumentError, InputError, ServingError
from fluent_pipe.serving.signatures import Signature, read_signatures
from fluent_pipe.serving.warmup import write_warmup
from fluent_pipe.steps.delivery import InfraValidate as InfraValidateStep

ROWS = 100
"""Rows that are sent and compared, from all over the split."""


class InfraValidate(Component):
    """Serves a model as it would be served elsewhere, and writes the verdict.

    Leaves ``INFRA_BLESSED`` or ``INFRA_NOT_BLESSED``, ``infra.json`` and, if it is blessed, ``Format-Serving/``: the
    very files that were served, with warm-up requests. A model that is refused is no error.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    model
        What is served.
    examples
        Gives the rows.
    """

    def __init__(self, step: InfraValidateStep, context: Context, model: Input[Model], examples: ExamplesInput) -> None:
        super().__init__(context)
        self._step = step
        self._model = model
        self._examples = examples

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element: the content of ``infra.json``."""
        work = partial(_validate, self._step, self.context)
        inputs = (self._model.value, self._examples.value)
        return {"": once(pipeline, "Serve", self.context, work, *inputs, resources=self._step.resources)}


def _validate(step: InfraValidateStep, context: Context, model: Model, examples: Examples) -> dict[str, Any]:
    progress.report(context.step, detail="copying the model")
    rows = spread_rows(examples.addresses(step.split), ROWS)
    if rows is None:
        raise InputError(
            f"Split {step.split!r} has no rows to send to the server.",
            fix="Give it a larger share in splits=, or read more rows.",
        )
    served = context.folder / "Format-Serving"
    shutil.copytree(model.serving, served)
    check = InfraCheck(step, context.step, model, served, rows)
    try:
        signatures = _asked(served)
        write_warmup(served, signatures, rows)
        check.run(signatures)
    except (ServingError, ArgumentError) as error:
        check.refuse(error)
    facts = check.verdict()
    if not facts["blessed"]:
        shutil.rmtree(served)  # nobody is to push it
    _write(context.folder, facts)
    return facts


def _asked(served: Path) -> list[Signature]:
    """The signatures that rows go through: ``serving_default``, and ``serving_raw`` where it is there.

    Raises
    ------
    ServingError
        If there is no ``serving_default``: it is what a client that names none is answered by.
    """
    there = read_signatures(served)
    if "serving_default" not in there:
        raise ServingError(
            "The model has no signature 'serving_default', which a server answers by.",
            got="serving_default",
            valid=sorted(there),
            fix="Export it under that name: ExportArchive().add_endpoint('serving_default', ...).",
        )
    return [there[name] for name in ("serving_default", "serving_raw") if name in there]


def _write(folder: Path, facts: dict[str, Any]) -> None:
    (folder / ("INFRA_BLESSED" if facts["blessed"] else "INFRA_NOT_BLESSED")).touch()
    (folder / "infra.json").write_text(json.dumps(facts, indent=1))
