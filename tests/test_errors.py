"""Errors keep their parts."""

import pickle

import pytest

from fluent_pipe import errors
from fluent_pipe.errors import FluentPipeError, InputError

KINDS = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, FluentPipeError)]


@pytest.mark.parametrize("kind", KINDS)
def test_they_cross_from_workers_by_pickle(kind):
    error = kind("No.", where="a.csv:3", got="tip", valid=["tips"], fix="Do.", step="train")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.__dict__ == error.__dict__
    assert str(copy) == "a.csv:3: No. There are: tips. Did you mean 'tips'? Do."


def test_of_a_list_too_long_to_read_only_the_nearest_is_named():
    error = InputError("No such option.", got="tip", valid=["fare", "tips"], listed=False)
    assert str(error) == "No such option. Did you mean 'tips'?"


def test_long_lists_are_cut():
    text = str(InputError("No such column.", got="x", valid=[f"column_{i}" for i in range(50)]))
    assert "and 30 more" in text
