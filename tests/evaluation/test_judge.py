"""Predictions in the shape that a task has, and counts of rows that cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest

from fluent_pipe.errors import EvaluationError
from fluent_pipe.evaluation.judge import Counts, check, shaped


@pytest.mark.parametrize(
    ("answer", "task", "expected"),
    [
        ([[0.25], [0.5]], "binary", [0.25, 0.5]),
        ([0.25, 0.5], "binary", [0.25, 0.5]),
        ([[0.75, 0.25], [0.5, 0.5]], "binary", [0.25, 0.5]),
        ([[-3.0], [12.0]], "regression", [-3.0, 12.0]),
        ([[0.1, 0.2, 0.7], [1, 0, 0]], "multiclass", [[0.1, 0.2, 0.7], [1, 0, 0]]),
    ],
)
def test_shapes(answer: list[object], task: str, expected: list[object]) -> None:
    assert shaped(np.array(answer), task=task, rows=2, model="model's").tolist() == expected


@pytest.mark.parametrize(
    ("answer", "task", "classes", "text"),
    [
        ([[0.1, 0.2, 0.7]], "binary", None, r"shape \[1, 3\] for 1 rows; a binary label needs \[rows, 1\]"),
        ([[0.1]], "multiclass", None, r"needs \[rows, classes\]"),
        ([[0.5, 0.5]], "multiclass", 3, r"needs \[rows, 3\]"),
        ([0.1, 0.2, 0.3], "regression", None, "needs"),
        ([[1.5]], "binary", None, "between 1.5 and 1.5; a binary label needs probabilities. .* sigmoid"),
        ([[-1.0, 2.0]], "multiclass", None, "softmax"),
    ],
)
def test_what_does_not_fit(answer: list[object], task: str, classes: int | None, text: str) -> None:
    rows = 2 if task == "regression" else 1
    with pytest.raises(EvaluationError, match=text):
        shaped(np.array(answer), task=task, rows=rows, classes=classes, model="model's")


def test_not_a_number_is_left_for_the_count() -> None:
    assert np.isnan(shaped(np.array([[np.nan]]), task="binary", rows=1, model="model's")).all()
    with pytest.raises(EvaluationError, match=r"not a number .* in 3 of 10 rows of split 'eval'"):
        check([Counts(6, (("model's prediction", 1),)), Counts(4, (("model's prediction", 2),))], split="eval")
    check([Counts(6, (("model's prediction", 0),))], split="eval")
