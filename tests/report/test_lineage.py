"""From a pushed model back to the files, and from rows onward."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fluent_pipe.artifacts import Artifact, Examples, Model, Predictions, PushedModel, Schema
from fluent_pipe.display.charts import inline
from fluent_pipe.display.lineage import Made, SourceFiles, draw_lineage, in_bytes, lineage_text
from fluent_pipe.report.lineage import lineage, made_of
from fluent_pipe.report.past import PastRun
from fluent_pipe.report.steps import draw_past_steps
from fluent_pipe.steps.paths import read
from fluent_pipe.store.files import new_execution_name
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.metadata import MetadataStore

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "bell\x07", "\u202etxt.exe", "🎉", "x" * 300]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetadataStore]:
    with MetadataStore.open(tmp_path / "root") as opened:
        opened.begin_run("flights", "run-1")
        yield opened


def record(
    store: MetadataStore,
    step: str,
    kind: type[Artifact],
    *read_from: Artifact,
    facts: Any = None,
    **properties: Any,
) -> Artifact:
    name = new_execution_name()
    folder = store.root / "flights" / step / name
    folder.mkdir(parents=True)
    if facts is not None:
        (folder / kind.facts_file).write_text(json.dumps(facts))
    inputs: Mapping[str, Artifact] = {f"in{i}": a for i, a in enumerate(read_from)}
    manifest = Manifest(
        pipeline="flights", run="run-1", step=step, step_type=step, execution=name, key=f"key of {step}",
        fingerprint=f"{step} {name}", seconds=1.5, produces=(kind.__name__,), inputs=store.read_by(inputs),
        properties={"job": 1, **properties},
    )  # fmt: skip
    return store.record(manifest, (kind,)).artifacts[0]


@pytest.fixture
def pushed(store: MetadataStore) -> Artifact:
    """Rows, a schema of them, a model of both, pushed."""
    rows = {"splits": {"train": {"rows": 80}}, "columns": {}, "rejected": 0}
    files = json.dumps([["/data/flights-*.csv", 12, 81_234_567]])
    examples = record(store, "from_csv", Examples, facts=rows, sources=files)
    schema = record(store, "infer_schema", Schema, examples)
    model = record(store, "train", Model, examples, schema, facts={"epochs": 2})
    refused = {"pushed": True, "version": 3, "destination": "serving", "reasons": []}
    return record(store, "push_to", PushedModel, model, facts=refused)


def test_a_pushed_model_leads_back_to_the_files(store: MetadataStore, pushed: Artifact) -> None:
    found = lineage(store, pushed)
    assert [m.step for m in found.made] == ["from_csv", "infer_schema", "train", "push_to"]
    assert found.sources == (SourceFiles("/data/flights-*.csv", 12, 81_234_567),)
    made = found.made[0]
    assert (made.run, made.key, made.leaves, made.summary) == ("run-1", "key of from_csv", ("Examples",), "train 80")
    assert found.whole


def test_it_prints_as_a_tree_that_tells_nothing_twice(store: MetadataStore, pushed: Artifact) -> None:
    lines = repr(lineage(store, pushed)).splitlines()
    assert lines[0].endswith(": made from 3 executions and 12 files")
    assert [re.sub(r"(\w)  .*", r"\1", line) for line in lines[1:]] == [
        "push_to",
        "└─ train",
        "   ├─ from_csv",
        "   │  └─ /data/flights-*.csv",
        "   └─ infer_schema",
        "      └─ from_csv (above)",
    ]
    assert "train  Model  2 epochs" in lines[2]
    assert "(12 files, 81.2 MB)" in lines[4]


def test_it_draws_files_at_the_left_and_the_model_at_the_end(store: MetadataStore, pushed: Artifact) -> None:
    html = lineage(store, pushed).drawn(inline)
    assert "Examples of flights/from_csv/" in html
    order = [html.index(f">{name}<") for name in ("flights-*.csv", "from_csv", "infer_schema", "train", "push_to")]
    assert order == sorted(order)
    assert "12 files, 81.2 MB" in html
    assert "key of train" in html


def test_onward_from_rows_to_all_that_was_made_of_them(store: MetadataStore, pushed: Artifact) -> None:
    examples = store.inputs(store.inputs(pushed)["in0"])["in0"]
    scored = record(store, "bulk_infer", Predictions, examples, facts={"scored": True, "rows": 7, "failed": 0})
    found = made_of(store, examples)
    assert {m.step for m in found.made} == {"from_csv", "infer_schema", "train", "push_to", "bulk_infer"}
    assert repr(found).splitlines()[0].endswith(": read on by 4 executions")
    assert [m.step for m in made_of(store, scored).made] == ["bulk_infer"]


def test_it_is_bounded_and_says_so(store: MetadataStore, pushed: Artifact) -> None:
    found = lineage(store, pushed, most=2)
    assert [m.step for m in found.made] == ["train", "push_to"]
    assert "there are more" in repr(found)


def test_what_is_gone_is_told(store: MetadataStore, pushed: Artifact) -> None:
    model = store.inputs(pushed)["in0"]
    shutil.rmtree(model.path)
    found = lineage(store, pushed)
    assert [m.step for m in found.made if not m.exists] == ["train"]
    assert "(gone)" in repr(found)
    assert "its folder is gone" in found.drawn(inline)


def test_an_artifact_that_the_store_does_not_know(store: MetadataStore, tmp_path: Path) -> None:
    found = lineage(store, Schema(tmp_path / "elsewhere", "f", "with_schema"))
    assert [m.step for m in found.made] == ["with_schema"]
    assert found.drawn(inline)


def test_steps_of_a_past_run_with_their_job(store: MetadataStore, pushed: Artifact) -> None:
    run = store.run("run-1")
    svg = draw_past_steps(store, PastRun.of(store, run)).svg()
    assert "Beam job 1, 6.00 s" in svg
    assert "Model of train, read by push_to" in svg
    assert "version 3" in svg


def test_hostile_names_are_text() -> None:
    made = [
        Made(id=f"p/{name}/{i}", step=name, leaves=(name,), summary=name, sources=(SourceFiles(name),), run=name)
        for i, name in enumerate(HOSTILE)
    ]
    svg = draw_lineage(made, made[0].id, name=HOSTILE[0]).svg()
    assert "<script" not in svg
    assert "<img" not in svg
    ET.fromstring(svg)
    assert lineage_text(made, made[0].id).startswith(HOSTILE[0])
    assert "\x07" not in lineage_text(made, made[2].id)


def test_a_long_chain_is_a_tree_without_recursion() -> None:
    made = [Made(id=f"{i}", step=f"s{i}", reads=((f"{i - 1}", "Rows"),)) for i in range(2000)]
    assert lineage_text(made, "1999").count("\n") == 1999


def test_source_files_are_counted_where_they_can_be(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1234")
    (tmp_path / "b.csv").write_text("12")
    pattern = str(tmp_path / "*.csv")
    assert read([pattern, "gs://bucket/x"]) == [(pattern, 2, 6), ("gs://bucket/x", None, None)]
    assert in_bytes(1) == "1 byte"
