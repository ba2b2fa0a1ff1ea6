"""Templates, and the words they use for times, states and numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fluent_pipe.display.markup import clean, tag
from fluent_pipe.display.text import in_words
from fluent_pipe.display.words import duration

HERE = Path(__file__).parent
FILES: Mapping[str, Path] = {
    **{name: HERE / "static" / name for name in ("page.css", "page.js", "icon.svg")},
    "report.js": HERE.parent / "report" / "page.js",  # its sections are ours too
}
"""Files that the pages ask for, by their names in ``/static/``."""
MARKS = {
    "running": "▸",
    "succeeded": "✓",
    "ran": "✓",
    "cached": "=",
    "failed": "✗",
    "interrupted": "✗",
    "not pushed": "!",
    "not scored": "!",
    "waiting for approval": "…",
    "template written": "✓",
    "skipped": "-",
}
_TONES = {"✓": "good", "✗": "bad", "!": "warn", "…": "warn", "▸": "busy"}


@cache
def environment() -> Environment:
    """The templates. All that they print is escaped, and a name that a page does not give is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "ago": ago,
        "bytes": _in_bytes,
        "chip": chip,
        "duration": duration,
        "number": in_words,
        "part": part,
        "time": moment,
    }
    made.globals["static"] = static
    return made


def render(template: str, /, **values: Any) -> str:
    """A page."""
    return environment().get_template(template).render(**values)


def _printable(value: Any) -> Any:
    """What is printed where a template names a value; escaped afterwards."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def part(text: str) -> str:
    """A name as one part of a URL's path.

    Examples
    --------
    >>> part("a/b c")
    'a%2Fb%20c'
    """
    return quote(text.encode("utf-8", "replace"), safe="")


@cache
def static(name: str) -> str:
    """The URL of a file of ours; another one for other content, so that browsers may keep it."""
    return f"/static/{name}?{hashlib.blake2b(FILES[name].read_bytes(), digest_size=6).hexdigest()}"


def chip(state: str, waiting: str = "…") -> Markup:
    """A state as a mark and a word; ``waiting`` is the mark of what waits, where that is no news.

    Examples
    --------
    >>> chip("failed")
    Markup('<span class="chip bad"><b aria-hidden="true">✗</b> failed</span>')
    """
    mark = waiting if state == "waiting" else MARKS.get(state, "·")
    return tag("span", tag("b", mark, aria_hidden="true"), f" {state}", class_=f"chip {_TONES.get(mark, 'plain')}")


def moment(when: datetime) -> Markup:
    """A time, UTC, to the minute; to the second when one points at it.

    Examples
    --------
    >>> moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc))
    Markup('<time datetime="2026-01-02T03:04:05+00:00" title="2026-01-02 03:04:05 UTC">2026-01-02 03:04</time>')
    """
    utc = when.astimezone(timezone.utc)
    exact = utc.isoformat(timespec="seconds")
    return tag("time", f"{utc:%Y-%m-%d %H:%M}", datetime=exact, title=f"{utc:%Y-%m-%d %H:%M:%S} UTC")


def ago(when: datetime, now: datetime | None = None) -> str:
    """How long ago, in one unit.

    Examples
    --------
    >>> then = datetime(2026, 1, 1, tzinfo=timezone.utc)
    >>> [ago(then, datetime(2026, 1, day, hour, tzinfo=timezone.utc)) for day, hour in ((1, 0), (1, 5), (3, 1))]
    ['just now', '5 h ago', '2 days ago']
    """
    seconds = ((now or datetime.now(timezone.utc)) - when).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min ago"
    if seconds < 36 * 3600:
        return f"{round(seconds / 3600)} h ago"
    return f"{round(seconds / 86400)} days ago"


def _in_bytes(size: int) -> str:
    return f"{size:,} bytes" if size < 10_000 else f"{size / 1000:,.0f} kB"
