"""Slices: chosen by their columns, worst first, drawn as bars from the overall value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps.metrics import COUNTS, direction

Facts: TypeAlias = Mapping[str, Any]
Asked: TypeAlias = str | Sequence[str] | Mapping[str, Any] | None
"""A column, several (``"origin, month"``, ``"origin × month"`` or a list), or columns with values (``"origin=JFK"``,
``{"origin": "JFK"}``); None: all slices."""
FEW = 100
"""Rows below which a slice's metrics hang on chance."""


def slice_name(columns: Mapping[str, Any]) -> str:
    """A slice in words.

    Examples
    --------
    >>> slice_name({"origin": "JFK", "month": 7})
    'origin=JFK, month=7'
    """
    return ", ".join(f"{k}={v}" for k, v in columns.items()) or "overall"


@dataclass(frozen=True)
class Slice:
    """One metric of one slice.

    Parameters
    ----------
    columns
        Column to value; empty for all rows.
    rows
        How many examples; None where it is not known.
    value
        Of the metric; None where it could not be computed.
    interval
        Confidence interval of the value, where one was asked for.
    baseline
        The earlier model's value, where there was one to compare with.
    """

    columns: Mapping[str, Any]
    rows: int | None
    value: float | None
    interval: tuple[float, float] | None = None
    baseline: float | None = None

    @property
    def name(self) -> str:
        """In words."""
        return slice_name(self.columns)

    @property
    def few(self) -> bool:
        """Whether there are so few rows that the value hangs on chance."""
        return self.rows is not None and self.rows < FEW


def finite(value: Any) -> float | None:
    """A number that can be drawn, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def of_metric(one: Facts, metric: str) -> Slice:
    """One entry of ``metrics.json``, as to one metric."""
    low, high = (finite(v) for v in one.get("intervals", {}).get(metric) or (None, None))
    return Slice(
        one["slice"],
        one["metrics"].get("example_count"),
        finite(one["metrics"].get(metric)),
        None if low is None or high is None else (low, high),
        finite(one.get("baseline_metrics", {}).get(metric)),
    )


def worst_first(slices: Iterable[Slice], metric: str) -> list[Slice]:
    """Lowest first, or highest for an error; last those whose value could not be computed."""
    return sorted(slices, key=lambda s: rank(s, metric))


def rank(one: Slice, metric: str) -> tuple[bool, float]:
    """What :func:`worst_first` sorts by."""
    return one.value is None, (one.value or 0.0) * (-1 if direction(metric) == "min" else 1)


def order(metric: str) -> str:
    """What :func:`worst_first` means, in words."""
    if metric in COUNTS:
        return "fewest first"
    better = direction(metric)
    return {"min": "worst (highest) first", "max": "worst (lowest) first", None: "lowest first"}[better]


def keys(facts: Facts) -> dict[tuple[str, ...], list[Facts]]:
    """The evaluated slices by the columns that they are over, without the overall one."""
    found: dict[tuple[str, ...], list[Facts]] = {}
    for one in facts["slices"]:
        if one["slice"]:
            found.setdefault(tuple(one["slice"]), []).append(one)
    return found


def metric_named(facts: Facts, metric: str | None) -> str:
    """The metric, or the main one of the task.

    Raises
    ------
    ArgumentError
        If it was not evaluated.
    """
    name = metric or facts["primary_metric"]
    if name not in (there := facts["slices"][0]["metrics"]):
        raise ArgumentError(f"Metric {name!r} was not evaluated.", got=name, valid=there)
    return str(name)


def chosen(facts: Facts, asked: Asked) -> list[Facts]:
    """The evaluated slices over exactly these columns, in the order of the file.

    Where all columns have a value and no slice is over them alone, those are meant that have these values among others.

    Raises
    ------
    ArgumentError
        If there is none.
    """
    there = keys(facts)
    every = [one for group in there.values() for one in group]
    if asked is None:
        return every
    known = {column for key in there for column in key}
    wanted = _wanted(asked, known)
    values = {column: value for column, value in wanted.items() if value is not None}
    fit = [o for o in every if all(str(o["slice"].get(c)) == str(v) for c, v in values.items())]
    exact = [o for o in fit if set(o["slice"]) == set(wanted)]
    found = exact or [o for o in fit if len(values) == len(wanted) and set(wanted) <= set(o["slice"])]
    if not found:
        named = " × ".join(c if v is None else f"{c}={v}" for c, v in wanted.items())
        right = next((group for key, group in there.items() if set(key) == set(wanted)), None)
        valid = [slice_name(o["slice"]) for o in right] if right else [" × ".join(key) for key in there]
        fix = None if there else 'Name columns: evaluate(slices=["carrier"]).'
        raise ArgumentError(f"No slice by {named!r} was evaluated.", got=named, valid=valid, fix=fix)
    return found


def _wanted(asked: str | Sequence[str] | Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    if isinstance(asked, Mapping):
        return dict(asked)
    if isinstance(asked, str):  # a column's name may hold a comma
        asked = [asked] if asked in known else re.split(r"\s*[,×]\s*", asked)
    wanted: dict[str, Any] = {}
    for part in asked:
        column, equals, value = (part, "", "") if part in known else str(part).partition("=")
        wanted[column.strip()] = value.strip() if equals else None
    return wanted
