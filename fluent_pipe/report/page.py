"""The report of a run: one HTML file that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from markupsafe import Markup

from fluent_pipe.artifacts import ModelBlessing
from fluent_pipe.display.charts import inline
from fluent_pipe.display.markup import tag
from fluent_pipe.display.threshold_slider import slider_script
from fluent_pipe.display.words import duration
from fluent_pipe.report.first import draw_verdict
from fluent_pipe.report.past import PastRun
from fluent_pipe.report.sections import Section, drawn_or_said, sections
from fluent_pipe.report.verdict import verdict
from fluent_pipe.store.files import new_execution_name
from fluent_pipe.store.metadata import MetadataStore

REPORT = "report.html"


def write_report(store: MetadataStore, run_id: str) -> Path:
    """Write the report of a run that has ended into the run's folder.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    stored = store.run(run_id)
    assert stored is not None, run_id
    run = PastRun.of(store, stored)
    path = run.folder / REPORT
    written = path.with_name(f".{REPORT}-{new_execution_name()}")
    try:
        written.write_text(page(store, run, PastRun.before(store, stored)), encoding="utf-8")
        written.replace(path)  # whoever reads it meets a whole one
    finally:
        written.unlink(missing_ok=True)
    return path


def page(store: MetadataStore, run: PastRun, before: PastRun | None) -> str:
    """The report as the text of an HTML file.

    Parameters
    ----------
    store
        Where the run is recorded.
    run
        The run.
    before
        The run to compare with, if there is one.
    """
    found = list(sections(store, run, before))
    title = f"{run.stored.pipeline}: {run.stored.state}, {run.stored.id}"
    script = _file("page.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script, slider_script())),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", _file("page.css")),
    )
    body = tag(
        "body",
        _header(run),
        tag(
            "main",
            drawn_or_said("The verdict", run, lambda: _verdict(run)),
            _contents(found),
            (_section(s) for s in found),
        ),
        tag("footer", "Written by fluent-pipe. This file asks nothing of any network. Times are UTC."),
        tag("script", script),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _verdict(run: PastRun) -> Markup:
    return draw_verdict(verdict(run), run.artifact(ModelBlessing), inline)


def _header(run: PastRun) -> Markup:
    stored = run.stored
    seconds = stored.properties.get("seconds")
    took = f", took {duration(float(seconds))}" if isinstance(seconds, int | float) else ""
    began = tag("time", f"{stored.started:%Y-%m-%d %H:%M:%S} UTC", datetime=stored.started.isoformat())
    ran = sum(s.state == "ran" for s in stored.steps)
    cached = sum(s.state == "cached" for s in stored.steps)
    return tag(
        "header",
        tag("h1", f"Pipeline {stored.pipeline}"),
        tag("p", "Run ", tag("code", stored.id), " of ", began, took, f"; {ran} steps ran, {cached} from the cache"),
    )


def _contents(found: list[Section]) -> Markup:
    links = (tag("li", tag("a", s.title, href=f"#{s.id}")) for s in found)
    return tag("nav", tag("ul", links), aria_label="Contents")


def _section(section: Section) -> Markup:
    # What is wider than the window scrolls by itself, with the keyboard too.
    body = tag("div", section.body, class_="scroll", tabindex="0", role="region", aria_labelledby=section.id)
    return tag("section", tag("h2", section.title, id=section.id), body)


@cache
def _file(name: str) -> Markup:
    """A file of ours that goes into the page as it is."""
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))


def _policy(*scripts: str) -> str:
    """What the page may do: run our scripts, and nothing else."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    allowed = f"style-src 'unsafe-inline'; script-src {hashes}; img-src data:"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
