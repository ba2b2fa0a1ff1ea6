"""Google's Facets Overview, out of the files of ``witwidget``."""

import base64
import importlib.util
import re
import shutil
import sys

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from fluent_pipe.display import facets
from fluent_pipe.display.facets import facets_frame, facets_page
from fluent_pipe.errors import FluentPipeError
from tests.display.made_up import HOSTILE, numeric, statistics, strings

installed = pytest.mark.skipif(importlib.util.find_spec("witwidget") is None, reason="witwidget is an extra")
SPLITS = {
    "eval": statistics(2, numeric("distance", [1, 2])),
    "train": statistics(9, numeric("distance", [1, 2, 3]), slices={"carrier_AA": []}),
}


def shown(page):
    """The statistics that a page shows."""
    data = re.search(r'<facets-overview proto-input="([^"]+)"', page)[1]
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(base64.b64decode(data))


@installed
def test_the_page_holds_a_dataset_a_split_and_asks_nothing_of_a_network():
    page = facets_page(SPLITS)
    assert [(d.name, d.num_examples) for d in shown(page).datasets] == [("train", 9), ("eval", 2)]
    assert [f.name for f in shown(page).datasets[0].features] == ["distance"]
    assert page.startswith("<!doctype html><meta charset")
    assert "default-src &#39;none&#39;" in page
    assert "@font-face" not in page
    assert "<wit-dashboard local" not in page


@installed
def test_the_page_needs_only_a_file_of_the_package():
    facets_page(SPLITS)
    assert "witwidget" not in sys.modules


@installed
def test_names_are_data():
    page = facets_page({name: statistics(1, strings(name, HOSTILE)) for name in HOSTILE})
    assert "alert(1)" not in page.replace("&lt;script&gt;alert(1)", "").replace("onerror=alert(1)&gt;", "")
    assert {d.name for d in shown(page).datasets} == set(HOSTILE)


@installed
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_draws_it_in_its_frame_and_asks_for_nothing(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    (file := tmp_path / "cell.html").write_text(f"<!doctype html>{facets_frame(facets_page(SPLITS))}", encoding="utf-8")
    asked, said = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri())
        frame = page.frame_locator("iframe")
        frame.get_by_text("Numeric Features (1)").wait_for(timeout=60_000)
        assert frame.get_by_text("distance", exact=True).first.is_visible()
        assert frame.get_by_text("train", exact=True).first.is_visible()
        browser.close()
    assert asked == [file.as_uri()]
    assert said == []


def test_the_frame_cannot_touch_the_page_around_it():
    frame = facets_frame('<script>alert("in the frame")</script>')
    assert 'sandbox="allow-scripts"' in frame
    assert "<script" not in frame
    assert "trust this notebook" in frame


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(facets, "find_spec", lambda name: None)
    with pytest.raises(FluentPipeError, match=r"pip install 'fluent-pipe\[facets\]'"):
        facets_page(SPLITS)
