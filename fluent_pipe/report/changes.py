"""What changed between two past runs: the last one and this, or two side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluent_pipe.display.colours import BAD, GOOD
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import in_words, text_table
from fluent_pipe.report import differences
from fluent_pipe.report.differences import COUNTS, Rows
from fluent_pipe.report.past import PastRun
from fluent_pipe.results import Drawn

if TYPE_CHECKING:
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed

log = logging.getLogger(__name__)

MOST = 10
"""Rows of a table that is drawn; the attributes have them all."""


@dataclass(frozen=True)
class Changes(Drawn):
    """What two runs have in common and where they differ. Each table is a list of rows, those without a change too.

    Parameters
    ----------
    before, after
        The runs.
    metrics
        ``slice``, ``metric``, ``before``, ``after``, ``change``, ``better``, ``certain`` (whether the 95 % intervals do
        not meet; None without intervals).
    drift
        ``column``, ``split``, ``measure``, ``distance``, ``by chance``, ``missing before``, ``missing after``; empty
        where both looked at the same data.
    schema
        ``column``, ``what``, ``before``, ``after``.
    row_counts
        ``split``, ``before``, ``after``.
    parameters
        ``step``, ``argument``, ``before``, ``after``; empty where a run did not record them.
    hyperparameters
        ``hyperparameter``, ``before``, ``after``.
    steps
        ``step``, ``before``, ``seconds before``, ``after``, ``seconds after``, ``why``.
    versions
        ``package``, ``before``, ``after``.
    circumstances
        ``what`` (state, seconds, commit, runner, host, command), ``before``, ``after``.
    """

    before: PastRun
    after: PastRun
    metrics: Rows
    drift: Rows
    schema: Rows
    row_counts: Rows
    parameters: Rows
    hyperparameters: Rows
    steps: Rows
    versions: Rows
    circumstances: Rows

    @classmethod
    def between(cls, before: PastRun, after: PastRun) -> Changes:
        """Compare two runs; what can no longer be read is left out."""
        names = ("metrics", "drift", "schema", "row_counts", "parameters", "hyperparameters", "steps", "versions")
        ways = {name: getattr(differences, name) for name in (*names, "circumstances")}
        return cls(before, after, **{name: _tried(way, before, after) for name, way in ways.items()})

    def tables(self) -> dict[str, Rows]:
        """What differs, as rows by title, the most telling first; a table without a difference is left out."""
        overall = [r for r in self.metrics if r["slice"] == "overall" and r["metric"] not in COUNTS]
        found = {
            "Metrics": _without([r for r in overall if r["change"]], "slice"),
            "Slices that changed most": _without(self._slices(), "certain"),
            "Data: columns that moved": [r for r in self.drift if r["distance"] > r["by chance"]],
            "Schema": self.schema,
            "Rows": _different(self.row_counts),
            "Arguments": _different(self.parameters),
            "Hyperparameters": _different(self.hyperparameters),
            "Steps with another result": [
                {
                    "step": r["step"],
                    "why": r["why"],
                    "seconds before": r["seconds before"],
                    "seconds": r["seconds after"],
                }
                for r in self.steps
                if r["why"]
            ],
            "Versions": _different(self.versions),
            "Circumstances": _different(
                [r for r in self.circumstances if r["what"] != "seconds" and None not in (r["before"], r["after"])]
            ),
        }
        return {title: rows for title, rows in found.items() if rows}

    def _slices(self) -> Rows:
        """Slices by the change of the main metric, the largest first."""
        from fluent_pipe.artifacts import Evaluation

        evaluation = self.after.artifact(Evaluation)
        if evaluation is None or not self.metrics:
            return []
        primary = evaluation.facts()["primary_metric"]
        changed = [r for r in self.metrics if r["slice"] != "overall" and r["metric"] == primary and r["change"]]
        return sorted(changed, key=lambda r: abs(r["change"]), reverse=True)

    def drawn(self, embed: Embed) -> Markup:
        tables = self.tables()
        if not tables:
            return tag("p", f"Nothing: the results are those of run {self.before.stored.id}, {_when(self.before)}.")
        parts: list[Markup | None] = [
            tag("p", f"Against run {self.before.stored.id}, {_when(self.before)}: {self.before.stored.state}.")
        ]
        for title, rows in tables.items():
            more = f"and {len(rows) - MOST:,} more" if len(rows) > MOST else None
            table = html_table([_worded(row) for row in rows[:MOST]], embed)
            parts += [tag("h4", title), table, tag("p", tag("small", more)) if more else None]
        return joined(parts)

    def __repr__(self) -> str:
        tables = self.tables()
        if not tables:
            return f"nothing changed since run {self.before.stored.id}"
        return "\n\n".join(f"{title}:\n{text_table(rows[:MOST])}" for title, rows in tables.items())


def _tried(way: Callable[[PastRun, PastRun], Rows], before: PastRun, after: PastRun) -> Rows:
    try:
        return way(before, after)
    except Exception:  # files of a past run may be gone or damaged; the rest is worth telling
        log.exception("Runs %s and %s cannot be compared in their %s", before.stored.id, after.stored.id, way.__name__)
        return []


def _different(rows: Rows) -> Rows:
    return [row for row in rows if row["before"] != row["after"]]


def _without(rows: Rows, *names: str) -> Rows:
    return [{k: v for k, v in row.items() if k not in names} for row in rows]


def _worded(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a person reads it: changes signed and marked, what is not known left out."""
    words = dict(row)
    if "change" in row:
        words["change"] = change_mark(words["change"], better=words.pop("better"))
        certain = words.pop("certain", None)
        if certain is not None:
            words["beyond chance"] = "yes" if certain else "no"
    for name in ("seconds before", "seconds"):
        if isinstance(row.get(name), float):
            words[name] = round(row[name], 1)
    for name in ("missing before", "missing after"):
        if row.get(name) is not None:
            words[name] = f"{row[name]:.2%}"
    return words


def change_mark(change: float | None, *, better: bool | None) -> Markup | None:
    """A change with its sign, coloured and in words where it is known to be for the better or the worse."""
    if change is None:
        return None
    sign = "+" if change > 0 else "\N{MINUS SIGN}" if change < 0 else "±"
    text = sign + in_words(abs(change))
    if better is None or not change:
        return tag("span", text)
    return tag("span", f"{text} {'better' if better else 'worse'}", style=f"color:{GOOD if better else BAD}")


def _when(run: PastRun) -> str:
    return f"{run.stored.started:%Y-%m-%d %H:%M} UTC"
