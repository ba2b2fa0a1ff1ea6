"""One small transform graph for all tests of this room."""

from __future__ import annotations

import pytest

from fluent_pipe.training.data import TrainingData
from tests.training_flights import Made, labelled, make


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Transformed flights; no label chosen yet."""
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def late(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Will the flight be late: a binary label."""
    return labelled(made, tmp_path_factory.mktemp("late"), "late")


@pytest.fixture(scope="session")
def data(late: Made) -> TrainingData:
    """What a model builder is given for the binary label."""
    return TrainingData(late.graph)
