"""A search over hyperparameters: what was tried, what came of it, and the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Embed
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.parallel import Axis, parallel_coordinates
from fluent_pipe.display.prose import bullets, paragraph
from fluent_pipe.display.tables import html_table
from fluent_pipe.display.text import counted, text_table

MOST_AXES = 12
MOST_ROWS = 30
MOST_FAILED = 10
TERMINAL = 100
"""Characters that a line should not be longer than."""
NOTHING = "no trial was completed"
INTERNAL = frozenset({"tuner/bracket", "tuner/round", "tuner/initial_epoch", "tuner/epochs", "tuner/trial_id"})
"""What a tuner keeps beside the hyperparameters that a person named."""

Facts = Mapping[str, Any]


def draw_trials(facts: Facts, embed: Embed) -> Markup:
    """The best in words, parallel coordinates, and a table, best first.

    Parameters
    ----------
    facts
        As in ``trials.json``.
    embed
        How charts get into the page.
    """
    trials = facts["trials"]
    if not trials:
        return html_table(_values(facts), embed)
    rows = trial_table(facts)
    bold = [{**r, "trial": tag("strong", r["trial"])} if r["trial"].startswith("★") else r for r in rows]
    more = len(trials) - len(rows)
    return joined(
        paragraph(tag("strong", in_a_line(facts))),
        bullets(facts["notes"]),
        _chart(facts, embed),
        html_table(bold, embed, sortable=True),
        paragraph(f"... and {counted(more, 'more trial')}: to_frame() has them all.") if more > 0 else None,
    )


def trials_text(facts: Facts) -> str:
    """The same as text."""
    if not facts["trials"]:
        return text_table(_values(facts))
    rows = trial_table(facts, width=300)
    reasons = [f"trial {row['trial']} failed: {row['failed']}" for row in rows if row.get("failed")]
    rows = [{**row, "failed": "✗" if row["failed"] else ""} if reasons else row for row in rows]
    columns, names = list(rows[0]), _named(facts["trials"])
    while len(names) > 1 and max(map(len, text_table(rows, columns).splitlines())) > TERMINAL:
        columns.remove(names.pop())
    more, aside = len(facts["trials"]) - len(rows), len(_named(facts["trials"])) - len(names)
    unsaid = [counted(more, "more trial")] * (more > 0) + [counted(aside, "more hyperparameter")] * (aside > 0)
    said = [f"... and {' and '.join(unsaid)}: to_frame() has them all"] if unsaid else []
    found = facts["best"] is not None
    best = f"best: trial {facts['best']} by {facts['objective']} ({facts['direction']})" if found else NOTHING
    return "\n".join([text_table(rows, columns), *said, *reasons, best, *facts["notes"]])


def in_a_line(facts: Facts) -> str:
    """How many were tried, and the best."""
    trials = facts["trials"]
    failed = sum(t["state"] == "failed" for t in trials)
    parts = [counted(len(trials), "trial")] + ([f"{failed} failed"] if failed else [])
    seconds = sum(t["seconds"] or 0.0 for t in trials)
    parts.append(f"{seconds:,.0f} s of work")
    best = _best(facts)
    if best is None:
        return ", ".join([*parts, "none was completed"])
    way = {"max": "highest", "min": "lowest"}.get(facts["direction"] or "", "best")
    return ", ".join([*parts, f"best is trial {best['id']}: {way} {facts['objective']} {figure(best['score'])}"])


def trial_table(facts: Facts, *, width: int = 120) -> list[dict[str, Any]]:
    """Trials, best first and those that failed last; the best is marked, reasons are cut to ``width``."""
    names = _named(facts["trials"])
    done, failed = _ordered(facts)
    shown = [*done[: MOST_ROWS - min(len(failed), MOST_FAILED)], *failed[:MOST_FAILED]]
    return [
        {
            "trial": f"★\N{NO-BREAK SPACE}{t['id']}" if t["id"] == facts["best"] else str(t["id"]),
            str(facts["objective"] or "score"): t["score"],
            **{n: t["hyperparameters"].get(n) for n in names},
            "seconds": None if t["seconds"] is None else round(t["seconds"], 1),
            **(
                {"failed": _short(t["reason"] or (t["state"] if t["state"] != "completed" else ""), width)}
                if failed
                else {}
            ),
        }
        for t in shown
    ]


def _short(reason: str, width: int) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _values(facts: Facts) -> list[dict[str, Any]]:
    return [{"hyperparameter": n, "value": v} for n, v in facts["values"].items()]


def _named(trials: Sequence[Facts]) -> list[str]:
    names = dict.fromkeys(n for t in trials for n in t["hyperparameters"])
    return [n for n in names if n not in INTERNAL]


def _best(facts: Facts) -> Facts | None:
    return next((t for t in facts["trials"] if t["id"] == facts["best"]), None)


def _ordered(facts: Facts) -> tuple[list[Facts], list[Facts]]:
    sign = -1 if facts["direction"] == "max" else 1
    done = [t for t in facts["trials"] if t["score"] is not None]
    done.sort(key=lambda t: (t["id"] != facts["best"], sign * t["score"]))
    return done, [t for t in facts["trials"] if t["score"] is None]


def _chart(facts: Facts, embed: Embed) -> Markup | None:
    trials = facts["trials"]
    tried = {n: tuple(t["hyperparameters"].get(n) for t in trials) for n in _named(trials)}
    varied = {n: values for n, values in tried.items() if len(set(map(str, values))) > 1}
    if not varied or all(t["score"] is None for t in trials):
        return None
    goal = str(facts["objective"] or "score")
    shown = list(varied)[:MOST_AXES]
    axes = [Axis(n, varied[n]) for n in shown]
    # The space keeps it apart from a hyperparameter of the same name.
    axes.append(Axis(f"{goal} ", tuple(t["score"] for t in trials), upside_down=facts["direction"] == "min"))
    lines = {t["id"]: {**t["hyperparameters"], axes[-1].name: t["score"]} for t in trials}
    title = f"{counted(len(trials), 'trial')}: hyperparameters and {goal}"
    chart = parallel_coordinates(axes, list(lines.values()), best=lines.get(facts["best"]), title=title)
    failed = any(t["score"] is None for t in trials)
    same = ", ".join(f"{n} {figure(values[0])}" for n, values in tried.items() if n not in varied)
    notes = [
        "dashed, ending in ✗: failed" if failed else "",
        f"{counted(len(varied) - len(shown), 'more hyperparameter')} in the table" if len(varied) > len(shown) else "",
        f"the same in all: {same}" if same else "",
    ]
    said = "; ".join(n for n in notes if n)
    return joined(tag("div", embed(chart)), paragraph(said) if said else None)
