"""The page over runs in a browser: light and dark, wide and narrow, with scripts and without, with hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from fluent_pipe.live import Live, LiveStep
from fluent_pipe.store.metadata import MetadataStore
from tests.browser.pages import ui
from tests.ui.made_up import HOSTILE_WORDS, MadeUp, progress_file

pytestmark = pytest.mark.slow

ANEW = ("tune", "train", "evaluate", "push_to")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two pipelines: one of many runs, one whose every name is hostile."""
    root = tmp_path_factory.mktemp("ui") / "root"
    with MetadataStore.open(root) as store:
        made = MadeUp(store)
        for number in range(8):
            made.run(
                f"run-{number}", auc=0.7 + number / 100, again=ANEW, state="not pushed" if number % 3 else "succeeded"
            )
        hostile = MadeUp(store, "hostile", HOSTILE_WORDS)
        hostile.run("hostile-1")
        hostile.run("hostile-2", auc=0.6, state="not pushed", again=ANEW)
    return root


@pytest.fixture(scope="module")
def url(root) -> Iterator[str]:
    """Where the command shows them."""
    with ui(root, root.with_name("ui.txt")) as address:
        yield address


PAGES = {
    "pipelines": "/",
    "pipeline": "/p/flights",
    "run": "/r/run-7",
    "compare": "/compare?a=run-6&b=run-7",
    "lineage": "/r/run-6/lineage",
    "hostile-pipeline": "/p/hostile",
    "hostile-run": "/r/hostile-2",
    "hostile-compare": "/compare?a=hostile-1&b=hostile-2",
    "hostile-lineage": "/r/hostile-1/lineage",
}


@pytest.mark.parametrize(("dark", "width"), [(False, 1200), (True, 400)], ids=["light", "dark and narrow"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_well(watch, url, name, dark, width):
    seen = watch(dark=dark, width=width)
    page = seen.open(url + PAGES[name])
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    seen.look(f"ui-{name}-{'dark' if dark else 'light'}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if "run" in name:
        assert page.locator("main section").count() > 10


@pytest.mark.parametrize("scripts", [True, False])
def test_two_ticked_runs_stand_side_by_side(watch, url, scripts):
    page = watch(scripts=scripts).open(f"{url}/p/flights")
    for run in ("run-5", "run-7"):
        page.check(f"input[value={run}]")
    page.click("button")
    assert page.url.endswith("/compare?a=run-5&b=run-7")
    assert page.locator("h2").first.inner_text() == "before: run-5"


def test_the_slider_moves_the_confusion_matrix(watch, url):
    page = watch().open(f"{url}/r/run-7")
    slider = page.locator("[data-threshold-slider]")
    before = slider.locator("table").first.inner_text()
    slider.locator("input[type=range]").fill("3")
    assert slider.locator("table").first.inner_text() != before


def test_a_run_under_way_is_followed_to_its_end(watch, url, root):
    with MetadataStore.open(root) as store:
        store.begin_run("flights", "under-way")
        now = datetime.now(timezone.utc)

        def far(share):
            steps = (LiveStep("train", "running", fraction=share, detail=f"epoch {share:.0%} <b>"),)
            told = Live("under-way", "flights", "running", now, datetime.now(timezone.utc), steps=steps)
            progress_file(store, "flights", "under-way").write_text(told.to_json())

        far(0.25)
        page = watch().open(f"{url}/r/under-way")
        assert page.locator("progress").get_attribute("value") == "0.25"
        far(0.75)
        page.locator("progress[value='0.75']").wait_for(timeout=20_000)
        assert page.get_by_text("epoch 75% <b>").is_visible()
        store.end_run("under-way", "failed", {"reason": "It was so."})
    page.get_by_text("It was so.").first.wait_for(timeout=20_000)
    assert page.locator("[data-live]").count() == 0
