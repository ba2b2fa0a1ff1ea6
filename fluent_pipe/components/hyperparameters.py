"""``with_hyperparameters``: a file of KerasTuner's own format takes the place of a search."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam

from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.steps.tuning import WithHyperparameters as WithHyperparametersStep
from fluent_pipe.training.hyperparameters import Config, read, values

FILE = "best_hyperparameters.txt"


class WithHyperparameters(Component):
    """Takes a file of hyperparameters up, as it is. Leaves what :class:`fluent_pipe.artifacts.HyperParameters` says.

    Parameters
    ----------
    step, context
        What was asked for, and where to write.
    """

    def __init__(self, step: WithHyperparametersStep, context: Context) -> None:
        super().__init__(context)
        self._step = step

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element: the file is read and written."""
        config = read(Path(self._step.path))
        once(pipeline, "ReadHyperparameters", self.context, partial(_take, self.context), config)
        return {}


def _take(context: Context, config: Config) -> None:
    searched = dict.fromkeys(("objective", "direction", "algorithm", "best"))
    write(context.folder, config, {**searched, "values": values(config), "notes": [], "trials": []})


def write(folder: Path, config: Config, facts: dict[str, Any]) -> None:
    """Leave the artifact.

    Parameters
    ----------
    config
        KerasTuner's config of the best hyperparameters.
    facts
        What ``trials.json`` holds.
    """
    (folder / FILE).write_text(json.dumps(config))
    (folder / "trials.json").write_text(json.dumps(facts, indent=2, allow_nan=False))
