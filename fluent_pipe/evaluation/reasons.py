"""Why a model was blessed or not: requirements against numbers, in fields and in words. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fluent_pipe.steps.limits import ChangeLimit, Limit

NOTHING_REQUIRED = "Nothing was required, so the model is blessed."
NO_BASELINE = "There is no earlier blessed model to compare with; limits on change hold until there is one."

Metrics = Mapping[str, float | None]


def judge(
    metric: str, limit: Limit, *, where: Mapping[str, Any], candidate: Metrics, baseline: Metrics | None
) -> dict[str, Any]:
    """One requirement in one slice.

    Bounds are inclusive. A value that is not there or not a number fails, as it does in TFMA; so does a relative change
    against 0. A limit on change holds when there is no baseline model.

    Parameters
    ----------
    metric
        Name in TFMA's results.
    where
        The slice: values by column; empty for the whole split.
    candidate, baseline
        Metrics of both models in the slice; ``baseline`` is None when there is no earlier model.

    Returns
    -------
    dict
        As in ``reasons.json``; ``change`` is the number that a change limit judges.
    """
    got = candidate.get(metric)
    before = None if baseline is None else baseline.get(metric)
    judged = got
    if isinstance(limit, ChangeLimit):
        judged = _change(got, before, relative=limit.relative)
    ok = judged is not None and _within(judged, limit)
    if isinstance(limit, ChangeLimit) and baseline is None:
        ok = True
    return {
        "metric": metric,
        "slice": dict(where),
        "got": got,
        "needed": needed(limit),
        "baseline": before,
        "change": judged if isinstance(limit, ChangeLimit) else None,
        "ok": ok,
    }


def no_rows(metric: str, limit: Limit, *, columns: tuple[str, ...]) -> dict[str, Any]:
    """A requirement for slices of which the split holds none; it fails, as it does in TFMA."""
    return threshold(metric, dict.fromkeys(columns), limit=needed(limit))


def threshold(metric: str, where: Mapping[str, Any], *, limit: str, got: float | None = None) -> dict[str, Any]:
    """A threshold that did not hold, its limit in words."""
    return {
        "metric": metric, "slice": dict(where), "got": got, "needed": limit, "baseline": None, "change": None,
        "ok": False,
    }  # fmt: skip


def needed(limit: Limit) -> str:
    """A limit in words.

    Examples
    --------
    >>> from fluent_pipe.steps.limits import at_least, change_at_least
    >>> needed(at_least(0.65)), needed(change_at_least(-0.01))
    ('at least 0.65', 'a change of at least -0.01')
    """
    bounds = {"at least": limit.at_least, "at most": limit.at_most}
    text = " and ".join(f"{word} {_short(bound)}" for word, bound in bounds.items() if bound is not None)
    if not isinstance(limit, ChangeLimit):
        return text
    return f"a {'relative ' if limit.relative else ''}change of {text}"


def sentence(reason: Mapping[str, Any]) -> str:
    """One entry of ``reasons.json`` in words.

    Examples
    --------
    >>> sentence({"metric": "auc", "slice": {}, "got": 0.61, "needed": "at least 0.65", "baseline": None, "ok": False})
    'auc was 0.61, needed at least 0.65 (overall)'
    """
    columns = reason["slice"]
    where = ", ".join(f"{c}={v}" for c, v in columns.items()) or "overall"
    got = reason["got"]
    if got is None and columns and all(v is None for v in columns.values()):
        return f"{reason['metric']} needed {reason['needed']} by {' x '.join(columns)}, and no row has a value there"
    text = f"{reason['metric']} {'could not be computed' if got is None else f'was {_short(got)}'}"
    if reason.get("change") is not None or (reason["baseline"] is not None and "change" in reason["needed"]):
        text += f", was {_short(reason['baseline'])} before"
    return f"{text}, needed {reason['needed']} ({where})"


def failures(reasons: list[Mapping[str, Any]]) -> Iterator[str]:
    """The entries that failed, in words."""
    return (sentence(r) for r in reasons if not r["ok"])


def _change(got: float | None, before: float | None, *, relative: bool) -> float | None:
    if got is None or before is None:
        return None
    if not relative:
        return got - before
    return None if abs(before) < 1e-9 else (got - before) / before


def _within(value: float, limit: Limit) -> bool:
    return (limit.at_least is None or value >= limit.at_least) and (limit.at_most is None or value <= limit.at_most)


def _short(value: float | None) -> str:
    return "missing" if value is None else f"{value:.4g}"
