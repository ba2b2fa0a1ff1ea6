"""How a run ended, for a person: one sentence, and why."""

from __future__ import annotations

import pytest

from fluent_pipe.artifacts import Approval, InfraBlessing, PushedModel
from fluent_pipe.report.past import PastRun
from fluent_pipe.report.verdict import FEW, MOST, verdict
from fluent_pipe.store.metadata import MetadataStore
from tests.report.made_up import REFUSED, REQUIRED, Past


def told(run: PastRun) -> tuple[str, str, list[str]]:
    found = verdict(run)
    return found.sentence, found.tone, [str(reason) for reason in found.reasons]


def test_pushed(store: MetadataStore) -> None:
    assert told(Past(store).validated().model().served().pushed().scored().ended()) == (
        "Pushed as version 3 to serving/3.",
        "good",
        [
            "✓ auc was 0.71, needed at least 0.65 (overall).",
            "✓ A prediction server answers with it: p95 3 ms.",
            "✓ Data: no anomalies.",
            "✓ 336,776 rows were scored, into /nowhere.",
        ],
    )


def test_a_push_from_the_cache_stays(store: MetadataStore) -> None:
    first = Past(store).pushed()
    pushed = first.ended().artifact(PushedModel)
    assert pushed is not None
    again = Past(store)
    stored = store.lookup("flights", pushed.execution)
    assert stored is not None
    store.record_cached(again.id, stored)
    sentence, tone, _ = told(again.ended())
    assert (sentence[:27], tone) == ("Version 3 stays in serving/", "good")


def test_what_speaks_against_the_model_comes_first(store: MetadataStore) -> None:
    past = Past(store).validated("Unexpected string values").model(reasons=[*REQUIRED, *REFUSED])
    refusal = {"blessed": False, "reasons": ["p95 was 300 ms, at most 200 ms."], "latency_ms": None}
    past.left("infra_validate", InfraBlessing, infra__json=refusal)
    past.left("approve", Approval, approval__json={"approved": False, "by": "Ada", "at": "", "note": "not on Friday"})
    assert told(past.pushed(version=None, reasons=("all of it",)).ended("not pushed")) == (
        "Not pushed, for 3 reasons.",
        "warn",
        [
            "✗ auc was 0.71, needed at least 0.99 (overall).",
            "✗ p95 was 300 ms, at most 200 ms.",
            "✗ Rejected by Ada: not on Friday",
            "✓ auc was 0.71, needed at least 0.65 (overall).",
            "! Data: 1 anomaly.",
        ],
    )


def test_many_requirements_are_counted(store: MetadataStore) -> None:
    refused = Past(store).model(reasons=[*(REQUIRED * (FEW + 1)), *(REFUSED * (MOST + 5))]).ended("not pushed")
    _, _, reasons = told(refused)
    assert len(reasons) == MOST + 2
    assert reasons[MOST:] == ["✗ ... and 5 more.", f"✓ {FEW + 1} requirements hold."]


def test_a_push_that_a_condition_held_back(store: MetadataStore) -> None:
    past = Past(store).model()
    store.record_skipped(past.id, "push_to", "enough (flights.py:3) does not hold")
    sentence, tone, reasons = told(past.ended())
    assert (sentence, tone) == ("Not pushed: enough (flights.py:3) does not hold.", "warn")
    assert reasons[-1] == "! push_to was skipped: enough (flights.py:3) does not hold."


@pytest.mark.parametrize(
    ("reasons", "sentence"),
    [
        (REQUIRED, "The model is blessed. This pipeline pushes nothing."),
        (REFUSED, "The model was refused: auc was 0.71, needed at least 0.99 (overall)."),
    ],
)
def test_a_pipeline_that_pushes_nothing(store: MetadataStore, reasons: list, sentence: str) -> None:
    assert told(Past(store).model(reasons=reasons).ended())[0] == sentence


def test_the_error_of_a_failed_run_keeps_its_lines(store: MetadataStore) -> None:
    assert verdict(Past(store).failed("train", "first\n  second")).error == "first\n  second"
