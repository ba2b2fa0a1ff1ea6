"""Fingerprints of plain values: equal content, equal key."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.errors import ArgumentError
from fluent_pipe.store.fingerprint import of_value

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.sets(st.text(max_size=3), max_size=4)
    ),
    max_leaves=12,
)


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Point:
    x: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Other:
    x: float
    tags: tuple[str, ...] = ()


class Pair(NamedTuple):
    a: int
    b: int


@settings(deadline=None, max_examples=60)
@given(values)
def test_a_copy_has_the_same_key(value: Any) -> None:
    assert of_value(copy.deepcopy(value)) == of_value(value) == of_value(pickle.loads(pickle.dumps(value)))


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(max_size=3), scalars, max_size=6), st.randoms())
def test_the_order_of_a_dict_does_not_count(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert of_value(dict(items)) == of_value(value)


def test_values_of_other_types_or_content_differ() -> None:
    different: list[Any] = [
        None, "None", 0, 1, -1, True, False, 1.0, -0.0, 0.0, 1j, "1", b"1", bytearray(b"1"), "", (), [], {},
        set(), frozenset(),
        (1,), [1], {1}, frozenset({1}), {1: 1}, ["1"], [[1]], [1, 1], ("a", "bc"), ("ab", "c"), Path("1"),
        Color.RED, Color.BLUE,
        Point(1.0), Point(2.0), Point(1.0, ("a",)), Other(1.0), Pair(1, 1), Pair(1, 2), Decimal(1), Decimal(2),
        dt.date(2020, 1, 1), dt.date(2020, 1, 2), range(3), range(4), slice(1), OrderedDict(a=1), {"a": 1},
        np.array([1, 2]), np.array([1, 3]), np.array([[1, 2]]), np.array([1, 2], "int32"), np.float32(1), np.float64(1),
        np.array(["a", None], object), np.array(["b", None], object), np.dtype("int8"), ...,
        dict[str, int], dict[str, float],
    ]  # fmt: skip
    keys = {of_value(value): value for value in different}
    assert len(keys) == len(different)


def test_the_same_object_twice_is_the_same_as_two_equal_ones() -> None:
    day = dt.date(2020, 1, 1)
    assert of_value((day, day)) == of_value((day, dt.date(2020, 1, 1)))
    point = Point(1.0)
    assert of_value([point, point]) == of_value([point, Point(1.0)])


def test_an_array_counts_by_content_not_by_layout() -> None:
    array = np.arange(12).reshape(3, 4)
    assert of_value(array.T.copy()) == of_value(array.T)


def test_a_type_may_say_its_own_fingerprint() -> None:
    class Rows:
        def __init__(self, said: str) -> None:
            self.said, self.open = said, iter(())

        def __fingerprint__(self) -> str:
            return self.said

    assert of_value(Rows("a")) == of_value(Rows("a")) != of_value(Rows("b"))


def test_containers_that_hold_themselves_end() -> None:
    one: list[Any] = [1]
    one.append({"self": one})
    two: list[Any] = [1]
    two.append({"self": two})
    assert of_value(one) == of_value(two)


def test_what_has_no_content_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"'arguments\['rows'\]' is a builtins.generator"):
        of_value({"rows": (i for i in range(3))}, name="arguments")
