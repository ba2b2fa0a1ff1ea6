"""The report of a run: what it says first, that nothing in it is taken for markup, and that it needs nothing else."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import pytest

from fluent_pipe.artifacts import Artifact, Evaluation
from fluent_pipe.report.page import page, write_report
from fluent_pipe.report.past import PastRun
from fluent_pipe.store.metadata import MetadataStore
from tests.report.made_up import HOSTILE, REFUSED, Past
from tests.test_imports import HEAVY, in_fresh_process


class Elements(HTMLParser):
    """What a browser would make of a page: elements with their attributes, texts, and what was left open."""

    EMPTY = ("meta", "br", "hr", "img", "input", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_of(page_text: str) -> str:
    return " ".join(" ".join(Elements(page_text).texts).split())


def test_first_it_says_whether_it_was_pushed_and_why(store: MetadataStore) -> None:
    text = text_of(page(store, Past(store).data().validated().model().served().pushed().scored().ended(), None))
    order = [
        "Pushed as version 3 to serving/3.",
        "auc was 0.71, needed at least 0.65 (overall).",
        "Data: no anomalies.",
        "336,776 rows were scored",
        "How good",
        "Worst slices",
        "What changed since the last run",
        "Anomalies and drift",
        "How to make it again",
    ]
    body = text[text.index("Pushed as") :]
    places = [body.index(words) for words in order[:4]] + [body.rindex(words) for words in order[4:]]
    assert places == sorted(places)


def test_a_model_that_was_refused(store: MetadataStore) -> None:
    refused = (
        Past(store).data().model(reasons=REFUSED).pushed(version=None, reasons=("auc was 0.71",)).ended("not pushed")
    )
    text = text_of(page(store, refused, None))
    assert "Not pushed: auc was 0.71, needed at least 0.99 (overall)." in text
    assert "<details open><summary>What was required" in page(store, refused, None)


def test_a_run_that_failed_says_in_what_and_how(store: MetadataStore) -> None:
    error = "broken.py:3: KeyError: 'late'.\n  There are: carrier."
    failed = page(store, Past(store).data().failed("preprocess", error), None)
    assert "Failed in preprocess: nothing was pushed." in failed
    assert "KeyError: &#39;late&#39;.\n  There are: carrier." in failed
    assert "Evaluation" not in text_of(failed)


def test_a_run_that_failed_after_its_push_says_so(store: MetadataStore) -> None:
    failed = Past(store).data().model().pushed().failed("bulk_infer", "There are no files.")
    assert "Failed in bulk_infer, after version 3 was pushed." in text_of(page(store, failed, None))


def test_a_run_that_anomalies_ended_shows_them(store: MetadataStore) -> None:
    failed = Past(store).data().validated("Unexpected string values").ended("failed", reason="1 anomaly in the data")
    text = text_of(page(store, failed, None))
    assert "Failed in validate: nothing was pushed." in text
    assert "1 anomaly in the data" in text
    assert "Unexpected string values" in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("interrupted", "Stopped before its end."),
        ("waiting", "fluent-pipe approve"),
        ("template written", "A template was written; nothing has run."),
        ("succeeded", "Done."),
    ],
)
def test_every_end_has_its_words(store: MetadataStore, state: str, words: str) -> None:
    assert words in text_of(page(store, Past(store).ended(state), None))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_wherever_they_stand(store: MetadataStore, name: str) -> None:
    said = {"expression": f"fp.Pipeline({name!r})", "command": f"python {name}", "commit": name, "host": name}
    before = Past(store, said, name=name).data().validated(name).model().pushed().ended()
    made = Past(store, said, name=name).data(mean=20.0).validated(name).model(auc=0.6).served().pushed(reasons=(name,))
    run = made.scored().failed("approve", name)
    text = page(store, run, before)
    elements = Elements(text)
    assert elements.open == []
    assert [tag for tag, _ in elements.found].count("script") == 1
    assert {tag for tag, _ in elements.found}.isdisjoint({"iframe", "object", "embed", "form", "base", "foreignobject"})
    for tag, attributes in elements.found:
        assert not [a for a in attributes if a.startswith("on")], (tag, attributes)
        assert tag != "img" or str(attributes["src"]).startswith("data:")
    plain = name.encode("utf-8", "replace").decode().replace("\x07", "␇").replace("\u202e", "�").strip()
    assert plain[:12] in "".join(elements.texts)


def test_it_asks_nothing_of_any_network(store: MetadataStore) -> None:
    text = page(store, Past(store).data().validated().model().served().pushed().ended(), None)
    for tag, attributes in Elements(text).found:
        for name in ("src", "href", "srcset", "action", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert set(re.findall(r"https?:[^\s\"'<]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src &#39;none&#39;" in text


def test_every_heading_is_in_the_contents(store: MetadataStore) -> None:
    elements = Elements(page(store, Past(store).data().model().pushed().ended(), None))
    ids = [a["id"] for tag, a in elements.found if tag == "h2"]
    assert [a["href"] for tag, a in elements.found if tag == "a"] == [f"#{i}" for i in ids]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("file", ["metrics.json", "reasons.json"])
def test_what_can_no_longer_be_read_is_said_and_the_rest_is_there(store: MetadataStore, file: str) -> None:
    run = Past(store).data().model().pushed().ended()
    evaluation = run.artifact(Evaluation)
    assert evaluation is not None
    (evaluation.path / file).write_text("{")
    text = text_of(page(store, run, None))
    assert "could not be drawn: JSONDecodeError" in text
    assert "miles" in text


def test_components_of_ones_own_have_a_line(store: MetadataStore) -> None:
    class Plot(Artifact):
        def summary(self) -> str:
            raise ValueError("changed since")

    past = Past(store).data()
    past.left("draw", Plot, plot__txt="x")
    text = text_of(page(store, past.ended(), None))
    assert "Components of your own" in text
    assert "Plot" in text


def test_it_is_written_whole_beside_the_log_and_loads_nothing_heavy(store: MetadataStore, tmp_path) -> None:
    Past(store).data().validated().model().pushed().ended()
    run = Past(store).data(mean=12.0).validated().model(auc=0.8).served().pushed().scored().ended()
    path = write_report(store, run.stored.id)
    assert path == run.folder / "report.html"
    assert path.stat().st_size < 100_000
    assert [f.name for f in run.folder.iterdir()] == ["report.html"]
    path.unlink()
    code = f"""
import json, sys
from pathlib import Path
from fluent_pipe.report.page import write_report
from fluent_pipe.store.metadata import MetadataStore
write_report(MetadataStore.open(Path({str(store.root)!r})), {run.stored.id!r})
print(json.dumps([m for m in {(*HEAVY, "jinja2", "IPython")!r} if m in sys.modules]))
"""
    assert in_fresh_process(code, tmp_path) == []
    assert "could not be drawn" not in path.read_text()


def test_folders_that_are_gone_leave_their_sections_out(store: MetadataStore) -> None:
    run = Past(store).data().model().pushed().ended()
    shutil.rmtree(store.root / "flights" / "evaluate")
    stored = store.run(run.stored.id)
    assert stored is not None
    text = text_of(page(store, PastRun.of(store, stored), None))
    assert "Worst slices" not in text
    assert "Pushed as version 3" in text
