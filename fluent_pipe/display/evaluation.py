"""An evaluation: overall figures, the worst slices, and all slices by their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Embed
from fluent_pipe.display.figures import figure, figures
from fluent_pipe.display.found_slices import draw_found, found_text
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.prose import folded, heading, paragraph
from fluent_pipe.display.slice_bars import slice_bars
from fluent_pipe.display.slices import FEW, Facts, Slice, finite, keys, of_metric, order, rank, slice_name, worst_first
from fluent_pipe.display.tables import CELL, TABLE, html_table
from fluent_pipe.display.text import block_bar, counted, text_table
from fluent_pipe.steps.metrics import COUNTS

MOST_BARS = 40
MOST_WORST = 10
MOST_KEYS = 12
MOST_ROWS = 100
MORE = "to_frame() has them all"


def draw_evaluation(facts: Facts, embed: Embed) -> Markup:
    """Overall metrics as figures, where the model is worst, and by each of the columns a chart that is folded away."""
    metric = facts["primary_metric"]
    by_columns = keys(facts)
    worst = _worst(facts, embed)
    folds = [
        _fold(columns, group, facts, embed, opened=worst is None)
        for columns, group in list(by_columns.items())[:MOST_KEYS]
    ]
    every = [one for group in by_columns.values() for one in group]
    table = _table(facts["slices"][:1], every, metric, embed)
    rest = [", ".join(columns) for columns in list(by_columns)[MOST_KEYS:]]
    return joined(
        _figures(facts),
        worst,
        (heading(f"{metric} by slice") if folds else None),
        folds,
        folded(f"all metrics of {counted(len(every), 'slice')} as a table", table) if folds else None,
        paragraph(f"... and {len(rest):,} more: show(slice=...) draws any. {'; '.join(rest[:20])}.") if rest else None,
    )


def draw_slices(chosen: Sequence[Facts], facts: Facts, metric: str, embed: Embed) -> Markup:
    """Some slices by one metric: the chart, and below it the table of all their metrics."""
    bars = _bars(chosen, facts, metric, embed, most=MOST_BARS)
    return joined(bars, _table(facts["slices"][:1], chosen, metric, embed))


def _table(overall: Sequence[Facts], chosen: Sequence[Facts], metric: str, embed: Embed) -> Markup:
    rows = [*overall, *sorted(chosen, key=lambda one: rank(of_metric(one, metric), metric))]
    more = len(rows) - MOST_ROWS
    table = html_table(metric_rows(rows[:MOST_ROWS]), embed, sortable=True)
    return joined(table, paragraph(f"... and {counted(more, 'more slice')}: {MORE}.") if more > 0 else None)


def metric_rows(slices: Sequence[Facts]) -> list[dict[str, Any]]:
    """One mapping a slice: its name, and metrics in words where they have an interval."""
    rows: list[dict[str, Any]] = []
    for one in slices:
        intervals = one.get("intervals", {})
        row: dict[str, Any] = {"slice": slice_name(one["slice"])}
        for name, value in one["metrics"].items():
            row[name] = figure(value, intervals[name]) if name in intervals else value
        rows.append(row)
    return rows


def _bars(chosen: Sequence[Facts], facts: Facts, metric: str, embed: Embed, *, most: int) -> Markup:
    slices = worst_first([of_metric(one, metric) for one in chosen], metric)
    if not slices:
        return paragraph("No slices were asked for, or none has rows.")
    chart = slice_bars(slices[:most], of_metric(facts["slices"][0], metric), metric)
    more = len(slices) - most
    return joined(
        tag("div", embed(chart)),
        paragraph(f"... and {counted(more, 'more slice')}, {order(metric)}: {MORE}.") if more > 0 else None,
    )


def _fold(columns: tuple[str, ...], group: Sequence[Facts], facts: Facts, embed: Embed, *, opened: bool) -> Markup:
    metric = facts["primary_metric"]
    values = [v for one in group if (v := finite(one["metrics"].get(metric))) is not None]
    spread = f", {metric} {figure(min(values))} to {figure(max(values))}" if values else ""
    summary = f"{' × '.join(columns)}: {counted(len(group), 'slice')}{spread}"
    return folded(summary, _bars(group, facts, metric, embed, most=MOST_BARS), opened=opened)


def _figures(facts: Facts) -> Markup:
    """The overall metrics, large, with the baseline's below."""
    overall = facts["slices"][0]
    before = overall.get("baseline_metrics", {})
    intervals = overall.get("intervals", {})
    names = list(overall["metrics"])
    return joined(
        _figure_table(names[i : i + 6], overall["metrics"], intervals, before) for i in range(0, len(names), 6)
    )


def _figure_table(names: Sequence[str], metrics: Facts, intervals: Facts, before: Facts) -> Markup:
    style = f"{CELL};text-align:left"
    large = f"{CELL};text-align:left;font-size:1.5em;border-bottom:none"
    rows = [
        tag("tr", (tag("th", n, scope="col", style=style) for n in names)),
        tag("tr", (tag("td", figure(metrics[n], intervals.get(n)), style=large) for n in names)),
    ]
    if any(n in before for n in names):
        rows.append(tag("tr", (tag("td", _change(n, metrics[n], before.get(n)), style=style) for n in names)))
    return tag("table", rows, style=TABLE)


def _change(name: str, value: Any, before: Any) -> str:
    now, then = finite(value), finite(before)
    if now is None or then is None:
        return ""
    if name in COUNTS:
        return "" if now == then else f"baseline {figure(then)}"
    return f"{now - then:+.3g} from the baseline's {figure(then)}"


def _worst(facts: Facts, embed: Embed) -> Markup | None:
    """Slices that were found to be worse, else the lowest of those that are large enough to tell."""
    if "found" in facts:
        return draw_found(facts["found"], embed)
    metric = facts["primary_metric"]
    large = [one for one in facts["slices"][1:] if not of_metric(one, metric).few]
    if len(large) <= 1 or (len(keys(facts)) < 2 and len(large) <= MOST_WORST):
        return None  # the only chart there is shows it
    return joined(
        heading(f"Worst slices by {metric}, of those with at least {FEW} examples"),
        tag("div", embed(slice_bars(_few_worst(facts, metric), of_metric(facts["slices"][0], metric), metric))),
    )


def _few_worst(facts: Facts, metric: str) -> list[Slice]:
    large = [s for one in facts["slices"][1:] if not (s := of_metric(one, metric)).few]
    return worst_first(large, metric)[:MOST_WORST]


def evaluation_text(facts: Facts) -> str:
    """Overall metrics, where the model is worst, and what there is to ask for."""
    metric = facts["primary_metric"]
    overall = facts["slices"][0]
    before = overall.get("baseline_metrics", {})
    figures = [
        {
            "metric": n,
            "overall": figure(v, overall.get("intervals", {}).get(n)),
            **({"baseline": figure(before.get(n))} if before else {}),
        }
        for n, v in overall["metrics"].items()
    ]
    parts = [text_table(figures)]
    if "found" in facts:
        parts.append(found_text(facts["found"]))
    elif worst := _few_worst(facts, metric):
        parts += [
            f"\nworst slices by {metric}, of those with at least {FEW} examples:",
            bars_text(worst, facts, metric),
        ]
    if by_columns := keys(facts):
        names = "; ".join(f"{', '.join(c)} ({len(g)})" for c, g in list(by_columns.items())[:MOST_KEYS])
        more = f"; and {len(by_columns) - MOST_KEYS} more" if len(by_columns) > MOST_KEYS else ""
        parts.append(f"\n{counted(len(facts['slices']) - 1, 'slice')}: {names}{more}. show(slice=, metric=) draws them")
    return "\n".join(parts)


def bars_text(slices: Sequence[Slice], facts: Facts, metric: str) -> str:
    """Slices as lines with bars of block characters; in the order given."""
    overall = of_metric(facts["slices"][0], metric)
    values = [v for s in [overall, *slices] for v in (s.value, s.baseline) if v is not None]
    low = 0.0 if metric in COUNTS else min(values, default=0.0)
    span = max(values, default=1.0) - low or 1.0
    low -= span * 0.1 if low else 0.0
    most = max(values, default=1.0)
    rows = []
    for s, text in zip(slices, figures([(s.value, s.interval) for s in slices]), strict=True):
        bar = "not computed" if s.value is None else block_bar((s.value - low) / ((most - low) or 1.0), 24)
        before = {"baseline": figure(s.baseline)} if any(o.baseline is not None for o in slices) else {}
        name = s.name if len(s.name) <= 40 else s.name[:39] + "…"
        rows.append({"slice": name, metric: text, **before, "examples": s.rows, "": bar})
    return text_table(rows)


def slices_text(chosen: Sequence[Facts], facts: Facts, metric: str) -> str:
    """Some slices by one metric, worst first."""
    slices = worst_first([of_metric(one, metric) for one in chosen], metric)
    overall = of_metric(facts["slices"][0], metric)
    more = f"\n... and {counted(len(slices) - MOST_BARS, 'more slice')}: {MORE}" if len(slices) > MOST_BARS else ""
    head = f"{metric} overall: {figure(overall.value, overall.interval)}; {order(metric)}"
    return f"{head}\n{bars_text(slices[:MOST_BARS], facts, metric)}{more}"
