"""Columns, values and reasons that would be scripts, in every picture and report: nothing of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from fluent_pipe.display.charts import as_image
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.report.page import write_report
from fluent_pipe.report.past import PastRun
from fluent_pipe.results import result_of
from fluent_pipe.store.metadata import MetadataStore
from tests.ui.made_up import HOSTILE_WORDS, MadeUp


@dataclass(frozen=True)
class Hostile:
    """A store with three runs of a pipeline with hostile names, of which one has failed."""

    store: MetadataStore
    failed: str
    now: str


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Iterator[Hostile]:
    with MetadataStore.open(tmp_path_factory.mktemp("hostile") / "root") as store:
        runs = MadeUp(store, words=HOSTILE_WORDS)
        runs.run(auc=0.72)
        failed = runs.run(steps=["from_csv", "generate_statistics"], state="failed", reason=HOSTILE_WORDS.reason)
        now = runs.run(auc=0.7, state="not pushed", reason=HOSTILE_WORDS.reason)
        for run in (failed, now):
            write_report(store, run)
        yield Hostile(store, failed, now)


def test_pictures(watch, hostile):
    seen = watch(width=1600)
    past = PastRun.of(hostile.store, hostile.store.run(hostile.now))
    results = [result_of(artifact) for artifact in past.artifacts]
    drawn = joined(tag("div", tag("h2", type(one).__name__), one.drawn(as_image)) for one in results)
    seen.page.set_content(f"<!doctype html><body>{drawn}</body>")
    seen.look("hostile-pictures")


@pytest.mark.parametrize("which", ["failed", "now"])
def test_report(watch, hostile, which):
    seen = watch()
    seen.open(hostile.store.root / "flights" / "runs" / getattr(hostile, which) / "report.html")
    seen.look(f"hostile-report-{which}")
