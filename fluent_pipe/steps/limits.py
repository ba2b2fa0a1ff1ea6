"""Limits that a person sets: on metrics (``require=``) and on distances between statistics (``drift=``, ``skew=``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fluent_pipe.errors import ArgumentError

SliceColumns = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ValueLimit:
    """A bound on a metric's value.

    Parameters
    ----------
    at_least, at_most
        Bounds, inclusive; None for no bound.
    slices
        Slice columns that it holds for; empty means overall.
    """

    at_least: float | None = None
    at_most: float | None = None
    slices: SliceColumns = ()


@dataclass(frozen=True)
class ChangeLimit:
    """A bound on a metric's change against the baseline model: ``candidate - baseline``.

    Parameters
    ----------
    at_least, at_most
        Bounds; None for no bound.
    relative
        If true, the change is divided by the baseline's value.
    slices
        Slice columns that it holds for; empty means overall.
    """

    at_least: float | None = None
    at_most: float | None = None
    relative: bool = False
    slices: SliceColumns = ()


Limit = ValueLimit | ChangeLimit


def slice_columns(slices: str | Sequence[str | Sequence[str]] | None) -> SliceColumns:
    """Slices as tuples of column names.

    Examples
    --------
    >>> slice_columns(["carrier", ["origin", "month"]])
    (('carrier',), ('origin', 'month'))
    """
    if slices is None:
        return ()
    if isinstance(slices, str):
        return ((slices,),)
    return tuple((s,) if isinstance(s, str) else tuple(s) for s in slices)


def at_least(value: float, *, slices: str | list[str | list[str]] | None = None) -> ValueLimit:
    """A metric must be ``value`` or more, overall or in every slice of ``slices``.

    Examples
    --------
    >>> at_least(0.65)
    ValueLimit(at_least=0.65, at_most=None, slices=())
    """
    return ValueLimit(at_least=_number(value, "at_least"), slices=slice_columns(slices))


def at_most(value: float, *, slices: str | list[str | list[str]] | None = None) -> ValueLimit:
    """A metric must be ``value`` or less, overall or in every slice of ``slices``."""
    return ValueLimit(at_most=_number(value, "at_most"), slices=slice_columns(slices))


def change_at_least(
    value: float, *, relative: bool = False, slices: str | list[str | list[str]] | None = None
) -> ChangeLimit:
    """A metric, minus the last blessed model's, must be ``value`` or more. For metrics where higher is better.

    Examples
    --------
    A candidate may lose up to one point:

    >>> change_at_least(-0.01).at_least
    -0.01
    """
    return ChangeLimit(at_least=_number(value, "change_at_least"), relative=relative, slices=slice_columns(slices))


def change_at_most(
    value: float, *, relative: bool = False, slices: str | list[str | list[str]] | None = None
) -> ChangeLimit:
    """A metric, minus the last blessed model's, must be ``value`` or less. For metrics where lower is better."""
    return ChangeLimit(at_most=_number(value, "change_at_most"), relative=relative, slices=slice_columns(slices))


@dataclass(frozen=True)
class Distance:
    """A limit on the distance of a column's distribution from another's.

    Parameters
    ----------
    measure
        TFDV's comparator: ``"jensen_shannon_divergence"`` or ``"infinity_norm"``.
    threshold
        The column is an anomaly above it.
    """

    measure: Literal["jensen_shannon_divergence", "infinity_norm"]
    threshold: float


def jensen_shannon(threshold: float) -> Distance:
    """Limit on the approximate Jensen-Shannon divergence, between 0 and 1. For numbers and categories.

    Source: TFDV, ``FeatureComparator.jensen_shannon_divergence``.
    """
    return Distance("jensen_shannon_divergence", _number(threshold, "jensen_shannon"))


def infinity_norm(threshold: float) -> Distance:
    """Limit on the largest difference in one value's share, between 0 and 1. For categories.

    Source: TFDV, ``FeatureComparator.infinity_norm``.
    """
    return Distance("infinity_norm", _number(threshold, "infinity_norm"))


def _number(value: object, call: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise ArgumentError(f"{call}() takes a number, got {value!r}.")
    return float(value)
