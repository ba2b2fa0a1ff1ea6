"""How far a run is, in words: for the terminal, for plain lines, for a notebook's cell."""

from __future__ import annotations

import math

from fluent_pipe.display.markup import clean
from fluent_pipe.execution import RunState, StepState
from fluent_pipe.live import ALL, Live, LiveStep

MARKS: dict[StepState, str] = {
    "waiting": "·",
    "running": "▸",
    "ran": "✓",
    "cached": "=",
    "failed": "✗",
    "not pushed": "!",
    "not scored": "!",
    "skipped": "-",
}
ENDED: tuple[StepState, ...] = ("ran", "cached", "failed", "not pushed", "not scored", "skipped")
BAR = 10


def one_line(text: str) -> str:
    """``text`` as it may stand in a line: no breaks, no control characters, none that turn the rest round.

    Examples
    --------
    >>> one_line("two" + chr(10) + "lines" + chr(27) + "[2J")
    'two lines␛[2J'
    """
    return clean(" ".join(text.split()))


def duration(seconds: float | None) -> str:
    """Time that has passed; nothing for None.

    Examples
    --------
    >>> duration(3.21), duration(59.96), duration(125), duration(3725), duration(None)
    ('3.2 s', '1 min 00 s', '2 min 05 s', '1 h 02 min', '')
    """
    if seconds is None:
        return ""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def left(seconds: float) -> str:
    """Time that is left, as roughly as it is known.

    Examples
    --------
    >>> left(3.2), left(31), left(130), left(7500)
    ('4 s left', '35 s left', '3 min left', '2 h 05 min left')
    """
    if seconds <= 55:
        step = 1 if seconds <= 10 else 5
        return f"{math.ceil(seconds / step) * step} s left"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min left" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min left"


def rows(step: LiveStep, *, whole: bool = True) -> str:
    """Rows seen, and ``of`` how many, if that is wanted and known; empty for none.

    Examples
    --------
    >>> rows(LiveStep("train", rows=1200, total=9000)), rows(LiveStep("train"))
    ('1,200 of 9,000', '')
    """
    of = f" of {step.total:,}" if whole and step.total and step.total > step.rows else ""
    return f"{step.rows:,}{of}" if step.rows else ""


def share(step: LiveStep) -> str:
    """How much is done, in per cent; empty where that is not known, at the beginning and at the end.

    Examples
    --------
    >>> share(LiveStep("train", fraction=0.559)), share(LiveStep("train", fraction=0.0)), share(LiveStep("train"))
    ('55 %', '', '')
    """
    done = step.fraction or 0.0
    return f"{math.floor(done * 100)} %" if 0.01 <= done < ALL else ""


def bar(step: LiveStep) -> tuple[str, str]:
    """The same as a bar: its part that is done and the other; both empty where :func:`share` is."""
    if not share(step):
        return "", ""
    done = round((step.fraction or 0.0) * BAR)
    return "━" * done, "─" * (BAR - done)


def told(step: LiveStep) -> str:
    """What a step says: of its result, or of what it is at."""
    return one_line(step.note or step.detail)


def how_far(step: LiveStep) -> str:
    """All that there is to say of a step, in a line.

    Examples
    --------
    >>> how_far(LiveStep("train", "running", fraction=0.4, left=25.0, detail="epoch 3/5"))
    '40 %, 25 s left, epoch 3/5'
    >>> how_far(LiveStep("evaluate", "running", rows=1200, total=9000))
    '1,200 of 9,000 rows'
    """
    seen = rows(step)
    until = left(step.left) if step.left is not None else ""
    return ", ".join(filter(None, [share(step), until, f"{seen} rows" if seen else "", told(step)]))


def under_way(live: Live) -> str:
    """The whole run, in a line under its steps.

    Examples
    --------
    >>> from datetime import datetime
    >>> steps = (LiveStep("from_csv", "ran", job=1), LiveStep("train", "running", job=2))
    >>> under_way(Live("id", "p", "running", datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 1), steps=steps))
    '1 of 2 steps · job 2 · 1 min 00 s'
    """
    jobs = [step.job for step in live.steps if step.state == "running" and step.job]
    job = f"job {max(jobs)} · " if jobs else ""
    line = f"{live.count(*ENDED)} of {len(live.steps)} steps · {job}{duration(live.seconds)}"
    return f"{line}\nStopping. Ctrl-C again stops at once, whatever is at work." if live.stopping else line


def at_the_end(live: Live, state: RunState, log: object) -> str:
    """The run that has ended, in a line; names the log where somebody will want it."""
    skipped = live.count("skipped")
    line = f"{state} in {duration(live.seconds)}, {live.count('cached')} of {len(live.steps)} steps from the cache"
    line += f", {skipped} skipped" if skipped else ""
    return line if state not in ("failed", "interrupted") else f"{line}; log: {log}"
