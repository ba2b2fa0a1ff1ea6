"""What the pages show, and that names in them are only ever text."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fluent_pipe import report
from fluent_pipe.display.threshold_slider import slider_script
from tests.ui.made_up import HOSTILE, HOSTILE_WORDS, STEPS, MadeUp

OWN_SCRIPTS = {slider_script(), (Path(report.__file__).parent / "page.js").read_text(encoding="utf-8")}


class Elements(HTMLParser):
    """Elements and attributes of a page, and the scripts that stand in it."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.scripts = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        tag, attributes = self.found[-1] if self.found else ("", {})
        if tag == "script" and data.strip() and attributes.get("type") != "application/json":
            self.scripts.append(data)


def pages_of(name, *runs):
    first, last = runs[0], runs[-1]
    return [
        "/",
        f"/p/{name}",
        f"/p/{name}?state=succeeded&metric=binary_accuracy",
        *(f"/r/{run}{page}" for run in runs for page in ("", "/live", "/report", "/lineage")),
        f"/compare?a={first}&b={last}",
        "/healthz",
    ]


def test_every_page_of_every_kind_of_run_is_there(store, get):
    made = MadeUp(store)
    runs = [
        made.run(),
        made.run(state="not pushed", auc=0.6, again=["train", "evaluate", "push_to"]),
        made.run(state="failed", reason="Label 'tip' is not there.", steps=list(STEPS)[:5], again=[]),
        made.run(state="interrupted", steps=["from_csv"], again=[]),
        made.run(state="waiting", steps=[], again=[]),
    ]
    for path in pages_of("flights", *runs):
        get(path)


def test_a_store_without_runs_says_so(get):
    assert "No runs yet" in get("/").text


def test_the_first_page_tells_how_each_pipeline_stands(store, get):
    made = MadeUp(store, "flights")
    made.run(auc=0.71)
    pushed = made.run(auc=0.72, again=["train", "evaluate", "push_to"])
    made.run(state="failed", reason="The disk is full.", steps=["from_csv"], again=[])
    MadeUp(store, "taxis").run(auc=0.9)
    page = get("/").text
    assert page.index("taxis") < page.index("flights")
    for words in (
        "3 runs",
        "1 run<",
        "0.72",
        "version 2",
        f"/r/{pushed}",
        "failed",
        "auc from run to run: 0.71 to 0.72",
    ):
        assert words in page


def test_runs_tell_what_was_cached_and_pushed_or_why_not(store, get):
    made = MadeUp(store)
    made.run()
    made.run(auc=0.6, state="not pushed", again=["train", "evaluate", "push_to"])
    page = get("/p/flights").text
    assert "pushed version 1" in page
    assert made.words.reason in page
    assert re.search(r"7<span class=\"quiet\"> of 10", page)
    assert "2 of 2" not in page


def test_fifty_runs_a_page_and_only_those_of_a_state(store, get):
    made = MadeUp(store)
    now = datetime.now(timezone.utc)
    states = ["failed" if i % 3 == 0 else "succeeded" for i in range(60)]
    runs = [
        made.run(steps=[], state=state, started=now - timedelta(hours=60 - i), reason="It is so.")
        for i, state in enumerate(states)
    ]
    first, second = get("/p/flights").text, get("/p/flights?page=2").text
    assert runs[-1] in first
    assert runs[10] in first
    assert runs[9] not in first
    assert runs[9] in second
    failed = get("/p/flights?state=failed").text
    assert failed.count('type="checkbox"') == 20
    assert "page 1 of 2" in first
    assert "page 1 of" not in failed
    for odd in ("page=0", "page=-1", "page=99", "page=x", "page=" + "9" * 400, "state=nonsense", "metric=nonsense"):
        assert get(f"/p/flights?{odd}").text.count('type="checkbox"') in (10, 50)


def test_the_chart_leads_to_the_runs_of_the_metric_that_was_picked(store, get):
    made = MadeUp(store)
    runs = [made.run(auc=0.7 + i / 100, again=["train", "evaluate", "push_to"]) for i in range(3)]
    page = get("/p/flights?metric=binary_accuracy").text
    chart = page[page.index("<svg") : page.index("</svg>")]
    assert "binary_accuracy over 3 runs" in chart
    assert [f'href="/r/{run}"' in chart for run in runs] == [True] * 3
    assert "binary_accuracy 0.69" in chart


def test_one_run_tells_its_verdict_its_steps_and_its_log(store, get):
    made = MadeUp(store)
    made.run(auc=0.8)
    run = made.run(auc=0.6, state="not pushed", again=["train", "evaluate", "push_to"])
    page = get(f"/r/{run}").text
    for words in ("Not pushed", "not pushed", "at least 0.65", "5 slices", "3 trials", "made up", "0.6"):
        assert words in page
    assert f"/r/{run}/lineage" in page
    assert "Compare with the run before" in page


def test_a_failed_run_tells_why(store, get):
    made = MadeUp(store)
    run = made.run(state="failed", reason="Label 'tip' is not there.\nThere are: tips.", steps=["from_csv"])
    page = get(f"/r/{run}").text
    assert "Failed in train" in page
    assert "Label &#39;tip&#39; is not there." in page


def test_a_run_whose_folders_are_gone_still_has_a_page(store, get):
    import shutil

    made = MadeUp(store)
    run = made.run()
    for step in STEPS:
        shutil.rmtree(store.root / "flights" / step)
    shutil.rmtree(store.root / "flights" / "runs")
    for path in pages_of("flights", run):
        get(path)
    assert "It is not on this machine." in get(f"/r/{run}").text


def test_damaged_facts_spoil_no_more_than_themselves(store, get):
    made = MadeUp(store)
    run = made.run()
    for name in ("metrics.json", "pushed.json", "trials.json"):
        for file in store.root.rglob(name):
            file.write_text("[not json" if name == "metrics.json" else "[1, 2]")
    for path in pages_of("flights", run):
        if not path.endswith("/report"):
            get(path)
    assert "8,000" in get(f"/r/{run}").text


def test_two_ticked_runs_are_compared_the_older_one_first(store, client, get):
    made = MadeUp(store)
    old, new = made.run(auc=0.7), made.run(auc=0.75, again=["tune", "train", "evaluate", "push_to"])
    for ticked in (f"run={old}&run={new}", f"run={new}&run={old}"):
        answer = client.get(f"/compare?{ticked}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/compare?a={old}&b={new}")
    page = get(f"/compare?a={old}&b={new}").text
    assert page.index(f'before: <a href="/r/{old}') < page.index(f'after: <a href="/r/{new}')
    for words in ("0.75", "units", "better"):
        assert words in page


@pytest.mark.parametrize("count", [1, 3])
def test_other_than_two_ticks_are_no_comparison(store, client, count):
    made = MadeUp(store)
    runs = [made.run(steps=[]) for _ in range(count)]
    answer = client.get("/compare?" + "&".join(f"run={run}" for run in runs))
    assert answer.status_code == 400
    assert "Tick two runs" in answer.text


@pytest.mark.parametrize(
    "path", ["/nothing", "/p/nothing", "/r/nothing", "/r/nothing/report", "/compare", "/compare?a=x&b=y", "/static/x"]
)
def test_what_is_not_there_is_said_in_words(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text


def test_hostile_names_are_only_text_on_every_page(store, client, get):
    name = "<img src=x onerror=alert(1)>"
    made = MadeUp(store, name, HOSTILE_WORDS)
    runs = [
        made.run(),
        made.run(auc=0.6, state="not pushed", again=["train", "evaluate", "push_to"]),
        made.run(state="failed", reason=HOSTILE[0], steps=["from_csv"], again=[]),
    ]
    paths = pages_of("%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", *runs)
    answers = [get(path) for path in paths]
    answers += [
        client.get(path) for path in ("/p/<svg onload=alert(1)>", "/r/<script>alert(1)</script>", "/compare?a=<b>")
    ]
    for answer in answers:
        assert "could not be drawn" not in answer.text, answer.url
        elements = Elements(answer.text)
        for tag, attributes in elements.found:
            assert not [a for a in attributes if a.startswith("on")], (answer.url, tag, attributes)
            assert attributes.get("src", "/static/").startswith(("/static/", "data:")), (answer.url, attributes)
            assert not attributes.get("href", "/").startswith("javascript:")
        assert set(elements.scripts) <= OWN_SCRIPTS, answer.url
        assert "<script>alert" not in answer.text
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", answer.text), answer.url
    assert any("{{7*7}}" in answer.text for answer in answers)
    assert not any(re.search(r"(?<!\d)49%?\{", answer.text) for answer in answers)


def test_pages_ask_for_nothing_elsewhere(store, get):
    made = MadeUp(store)
    runs = [made.run(), made.run(auc=0.6, state="not pushed", again=["train", "evaluate", "push_to"])]
    for path in pages_of("flights", *runs):
        for tag, attributes in Elements(get(path).text).found:
            for name in ("src", "href", "action", "data-live"):
                assert attributes.get(name, "/").startswith(("/", "#", "data:")), (path, tag, attributes)


def test_files_of_ours_may_be_kept_and_are_named_by_their_content(get):
    page = get("/").text
    for link in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        answer = get(link)
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
