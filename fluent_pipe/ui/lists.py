"""The pages that list: all pipelines, and the runs of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from fluent_pipe.display.charts import inline
from fluent_pipe.display.history import Point, metric_history, sparkline
from fluent_pipe.mirror import Root
from fluent_pipe.store.metadata import StoredRun
from fluent_pipe.ui.history import Runs
from fluent_pipe.ui.outcomes import Outcome, metric_names, outcome_of
from fluent_pipe.ui.templating import part

PAGE = 50
LATEST = 12
"""Runs of all pipelines on the first page."""
SPARK = 30
"""Runs in the line beside a pipeline."""
WIDE, NARROW = 200, 24
"""Runs in the chart of a metric, and in the one for a narrow screen."""
LOOK_BACK = 200
"""How many runs are looked through for the last version that was pushed."""


@dataclass(frozen=True)
class Card:
    """One pipeline in the list of all."""

    name: str
    runs: int
    last: Outcome
    metric: str
    value: float | None
    spark: Markup | None
    version: str
    pushed_by: StoredRun | None


def pipelines(runs: Runs, root: Root) -> dict[str, Any]:
    """What the first page shows: a card of each pipeline, that of the newest run first, and the latest runs of all."""
    return {
        "cards": [_card(name, runs.of(name), root) for name in runs.pipelines],
        "latest": [outcome_of(run, root) for run in runs.all[:LATEST]],
    }


def _card(name: str, runs: Sequence[StoredRun], root: Root) -> Card:
    newest = [outcome_of(run, root) for run in runs[:SPARK]]
    metric = next((o.primary for o in newest if o.primary), "")
    values = [o.metrics.get(metric) for o in reversed(newest)]
    known = [value for value in values if value is not None]
    spark = inline(sparkline(values, metric)) if len(known) > 1 else None
    pushed = (o for o in (outcome_of(run, root) for run in islice(runs, LOOK_BACK)) if o.version)
    last_pushed = next(pushed, None)
    return Card(
        name,
        len(runs),
        newest[0],
        metric,
        known[-1] if known else None,
        spark,
        last_pushed.version if last_pushed else "",
        last_pushed.run if last_pushed else None,
    )


def pipeline(name: str, runs: Sequence[StoredRun], root: Root, query: Mapping[str, str]) -> dict[str, Any]:
    """What the page of one pipeline shows.

    Parameters
    ----------
    runs
        Of this pipeline, the newest first; not empty.
    query
        ``state``: only runs of it. ``page``: from 1. ``metric``: that of the chart.
    """
    states = Counter(run.state for run in runs)
    state = query.get("state", "")
    chosen = [run for run in runs if run.state == state] if state in states else runs
    pages = -(-len(chosen) // PAGE)
    page = min(max(_whole(query.get("page", "")), 1), pages)
    shown = [outcome_of(run, root) for run in chosen[(page - 1) * PAGE : page * PAGE]]
    charted = [outcome_of(run, root) for run in runs[:WIDE]]
    metrics = metric_names(charted)
    metric = query.get("metric", "") if query.get("metric", "") in metrics else next(iter(metrics), "")
    kept = {"state": state if state in states else "", "metric": metric if metrics and metric != metrics[0] else ""}
    here = f"/p/{part(name)}"

    def link(**changed: object) -> str:
        asked = {k: str(v).encode("utf-8", "replace") for k, v in (kept | changed).items() if v}
        return here + (f"?{urlencode(asked)}" if asked else "")

    return {
        "name": name,
        "outcomes": shown,
        "count": len(runs),
        "chosen": len(chosen),
        "state": kept["state"],
        "states": [("", len(runs), link(state="")), *((s, n, link(state=s)) for s, n in states.most_common())],
        "page": page,
        "pages": pages,
        "newer": link(page=page - 1) if page > 1 else "",
        "older": link(page=page + 1) if page < pages else "",
        "metric": metric,
        "metrics": [(m, link(metric=m if m != metrics[0] else "")) for m in metrics],
        "wide": _chart(charted, metric) if metric else None,
        "narrow": _chart(charted[:NARROW], metric, width=340, height=200) if metric else None,
        "charted": len(charted),
    }


def _chart(outcomes: Sequence[Outcome], metric: str, **size: float) -> Markup:
    """The metric over runs, the oldest first; those without it leave no gap, or failures would be most of it."""
    points = [
        Point(
            o.metrics[metric],
            f"{o.run.started:%b} {o.run.started.day}",
            f"{o.run.id}\n{o.version or o.state}",
            f"/r/{part(o.run.id)}",
            pushed=bool(o.version),
        )
        for o in reversed(outcomes)
        if o.metrics.get(metric) is not None
    ]
    return inline(metric_history(points, metric, **size))


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
