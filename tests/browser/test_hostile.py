"""Columns, values and reasons that would be scripts, on every picture and page: nothing of them runs."""

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
from tests.browser.pages import paths, ui
from tests.ui.made_up import HOSTILE_WORDS, MadeUp


@dataclass(frozen=True)
class Hostile:
    """A store with three runs of a pipeline with hostile names, of which one has failed."""

    store: MetadataStore
    before: str
    failed: str
    now: str

    @property
    def past(self) -> PastRun:
        """The last run."""
        stored = self.store.run(self.now)
        assert stored is not None
        return PastRun.of(self.store, stored)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Iterator[Hostile]:
    with MetadataStore.open(tmp_path_factory.mktemp("hostile") / "root") as store:
        runs = MadeUp(store, words=HOSTILE_WORDS)
        before = runs.run(auc=0.72)
        failed = runs.run(steps=["from_csv", "generate_statistics"], state="failed", reason=HOSTILE_WORDS.reason)
        now = runs.run(auc=0.7, state="not pushed", reason=HOSTILE_WORDS.reason)
        for run in (before, failed, now):
            write_report(store, run)
        yield Hostile(store, before, failed, now)


def test_pictures(watch, hostile):
    seen = watch(width=1600)
    results = [result_of(artifact) for artifact in hostile.past.artifacts]
    drawn = joined(tag("div", tag("h2", type(one).__name__), one.drawn(as_image)) for one in results)
    seen.page.set_content(f"<!doctype html><body>{drawn}</body>")
    seen.look("hostile-pictures")


def test_report(watch, hostile):
    seen = watch()
    seen.open(hostile.past.folder / "report.html")
    seen.look("hostile-report")


def test_pages(watch, hostile, tmp_path):
    with ui(hostile.store.root, tmp_path / "ui.txt") as address:
        of_each_kind = paths("flights", hostile.before, hostile.now)
        for name, path in {**of_each_kind, "failed": f"/r/{hostile.failed}"}.items():
            seen = watch()
            seen.open(address + path)
            seen.look(f"hostile-{name}")
