"""``with_base_model``: a model that others begin from is copied into the store."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import apache_beam as beam

from fluent_pipe import progress
from fluent_pipe.artifacts import BaseModel
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.steps.model import WithBaseModel as WithBaseModelStep
from fluent_pipe.steps.model_files import find_model


class WithBaseModel(Component):
    """Copies a model, whole, so that the pipeline keeps what it learnt from.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    """

    def __init__(self, step: WithBaseModelStep, context: Context) -> None:
        super().__init__(context)
        self._step = step

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element: the copy."""
        if self.context.is_remote:  # the model lies on the driver's disk, and so it is the driver that copies it
            with self.context.delivering():
                _copy(self.context, self._step.path)
            return {"": once(pipeline, "Copy", self.context, _nothing)}
        return {"": once(pipeline, "Copy", self.context, partial(_copy, self.context), self._step.path)}


def _nothing() -> None:
    """The driver has done it."""


def _copy(context: Context, path: str) -> None:
    kind, model = find_model(Path(path))
    folder = context.folder / "model"
    if kind == "keras":
        folder.mkdir()
        _copy_file(str(model), str(folder / model.name))
    else:
        shutil.copytree(model, folder, copy_function=_copy_file)
    facts = {"source": path, "format": kind, "file": model.name if kind == "keras" else ""}
    (context.folder / BaseModel.facts_file).write_text(json.dumps(facts, indent=2))


def _copy_file(source: str, target: str) -> str:
    progress.check()
    return shutil.copy2(source, target)
