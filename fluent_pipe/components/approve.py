"""``approve``: a person decides, while the run waits or while no process is there at all."""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam

from fluent_pipe import progress
from fluent_pipe.artifacts import InfraBlessing, Model, ModelBlessing
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.inputs import Input
from fluent_pipe.errors import ApprovalPending
from fluent_pipe.steps.delivery import Approve as ApproveStep
from fluent_pipe.store.approvals import Decision, Request

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
NOTHING: Decision = {"approved": False, "by": "", "at": "", "note": "not blessed: nothing to approve"}


class Approve(Component):
    """Waits for ``fluent-pipe approve RUN``, on the driver and before the graph is built.

    Leaves ``approval.json``. What was refused by ``evaluate`` or ``infra_validate`` is not waited for. The request is
    a file (see :mod:`fluent_pipe.store.approvals`): it may be decided after this process was killed.

    Parameters
    ----------
    step, context
        What was asked for, and where to write; the context's key tells what is approved.
    model
        What is to be approved.
    blessing, infra
        Verdicts on it; None where nobody judged.
    """

    def __init__(
        self,
        step: ApproveStep,
        context: Context,
        model: Input[Model],
        blessing: Input[ModelBlessing] | None = None,
        infra: Input[InfraBlessing] | None = None,
    ) -> None:
        super().__init__(context)
        self._step = step
        self._model = model
        self._verdicts = [verdict.value.facts() for verdict in (blessing, infra) if verdict is not None]
        self._decision = NOTHING

    def prepare(self) -> None:
        """Wait, unless there is nothing to approve, or it was decided while no run was there to take it."""
        if not all(verdict["blessed"] for verdict in self._verdicts):
            return
        request = Request.of(Path(self.context.home), self.context.key)
        decision = request.decision
        if decision is None or self._is_published(decision):
            request.ask(
                self.context.run, step=self.context.step, model=self._model.value.path, anew=decision is not None
            )
            words = "waiting for approval"
            progress.say(self.context.step, f"{words}: {request.command(self.context.run)}")
            progress.report(self.context.step, detail=words)
            log.info("%s of %s", words, request.path)
            if not self._step.wait:
                raise ApprovalPending("Nobody has approved yet.")
            decision = _wait(request)
        self._decision = decision

    def build(self, pipeline: beam.Pipeline) -> Live:
        """One element: the content of ``approval.json``."""
        return {"": once(pipeline, "Approve", self.context, partial(_write, self.context, self._decision))}

    def _is_published(self, decision: Decision) -> bool:
        """Whether an earlier run took this decision: then this one was told not to take it from the cache."""
        published = Path(self.context.home, self.context.step).glob("*/approval.json")
        return any(json.loads(path.read_text()) == decision for path in published)


def _wait(request: Request) -> Decision:
    while (decision := request.decision) is None:
        progress.check()
        time.sleep(LOOK_SECONDS)
    return decision


def _write(context: Context, decision: Decision) -> dict[str, Any]:
    (context.folder / "approval.json").write_text(json.dumps(decision, indent=1))
    return decision
