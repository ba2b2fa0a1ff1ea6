"""Requirements against numbers."""

from __future__ import annotations

from typing import Any

import pytest

from fluent_pipe.evaluation.reasons import failures, judge, no_rows, sentence
from fluent_pipe.steps.limits import Limit, ValueLimit, at_least, at_most, change_at_least, change_at_most


def judged(limit: Limit, got: float | None, before: float | None = None, **where: Any) -> dict[str, Any]:
    baseline = None if before is None else {"auc": before}
    return judge("auc", limit, where=where, candidate={"auc": got}, baseline=baseline)


@pytest.mark.parametrize(
    ("limit", "got", "before", "ok"),
    [
        (at_least(0.5), 0.5, None, True),
        (at_least(0.5), 0.4999, None, False),
        (at_most(0.5), 0.5, None, True),
        (ValueLimit(at_least=0.4, at_most=0.5), 0.6, None, False),
        (at_least(0.5), None, None, False),
        (change_at_least(-0.25), 0.5, 0.75, True),
        (change_at_least(-0.25), 0.25, 0.75, False),
        (change_at_most(0.0), 0.5, 0.5, True),
        (change_at_least(-0.5, relative=True), 0.25, 0.5, True),
        (change_at_least(-0.5, relative=True), 0.2, 0.5, False),
        (change_at_least(-0.5, relative=True), 0.2, 0.0, False),
        (change_at_least(0.9), 0.5, None, True),
    ],
)
def test_limits(limit: Limit, got: float | None, before: float | None, ok: bool) -> None:
    assert judged(limit, got, before)["ok"] is ok


def test_sentences() -> None:
    assert sentence(judged(at_least(0.65), 0.61)) == "auc was 0.61, needed at least 0.65 (overall)"
    assert sentence(judged(at_least(0.65), 0.5, carrier="AA", month=3)) == (
        "auc was 0.5, needed at least 0.65 (carrier=AA, month=3)"
    )
    assert sentence(judged(at_least(0.65), None, carrier="AA")) == (
        "auc could not be computed, needed at least 0.65 (carrier=AA)"
    )
    assert sentence(judged(change_at_least(-0.01), 0.6, 0.65)) == (
        "auc was 0.6, was 0.65 before, needed a change of at least -0.01 (overall)"
    )
    assert sentence(no_rows("auc", at_least(0.5), columns=("gate",))) == (
        "auc needed at least 0.5 by gate, and no row has a value there"
    )


def test_failures_alone_are_told() -> None:
    entries = [judged(at_least(0.65), 0.61), judged(at_most(0.65), 0.61)]
    assert [*failures(entries)] == ["auc was 0.61, needed at least 0.65 (overall)"]
