"""What was published, by which execution, in which run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fluent_pipe.artifacts import Artifact, Examples, Model, ModelBlessing, Schema, Statistics, TransformGraph
from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.store.files import new_execution_name, publish, sweep_unrecorded
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.metadata import MetadataStore, StoredExecution


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MetadataStore]:
    with MetadataStore.open(tmp_path / "root") as opened:
        opened.begin_run("flights", "run-1")
        yield opened


def record(
    store: MetadataStore,
    step: str,
    kind: type[Artifact] | tuple[type[Artifact], ...],
    *,
    key: str = "key",
    fingerprint: str = "content",
    inputs: Mapping[str, Artifact] | None = None,
    properties: Mapping[str, Any] | None = None,
    pipeline: str = "flights",
    run: str = "run-1",
    files: Mapping[str, str] | None = None,
) -> StoredExecution:
    name = new_execution_name()
    folder = store.root / pipeline / step / name
    folder.mkdir(parents=True)
    for file, text in (files or {}).items():
        (folder / file).write_text(text)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    manifest = Manifest(
        pipeline=pipeline, run=run, step=step, step_type=step, execution=name, key=key, fingerprint=fingerprint,
        seconds=1.5, produces=tuple(k.__name__ for k in kinds), inputs=store.read_by(inputs or {}),
        properties=properties or {},
    )  # fmt: skip
    return store.record(manifest, kinds)


def test_what_was_recorded_is_found_by_its_key(store: MetadataStore) -> None:
    made = record(
        store, "generate_statistics", Statistics, key="k1", properties={"rows": 5, "auc": 0.5, "note": "ok", "b": True}
    )
    found = store.lookup("flights", "k1")
    assert found is not None
    assert (found.step, found.name, found.path, found.key) == ("generate_statistics", made.name, made.path, "k1")
    assert (found.fingerprint, found.seconds, found.id) == ("content", 1.5, made.id)
    assert found.artifacts == (Statistics(made.path, "content", "generate_statistics", made.name),)
    assert found.properties == {"rows": 5, "auc": 0.5, "note": "ok", "b": 1}
    assert abs((found.published - made.published).total_seconds()) < 5
    assert store.lookup("flights", "k2") is None
    assert store.lookup("taxis", "k1") is None
    assert store.lookup("flights", "k1' OR 'a' = 'a") is None


def test_a_model_of_the_same_rows_is_no_earlier_model(store: MetadataStore) -> None:
    graphs = [record(store, "preprocess", TransformGraph, fingerprint=f).artifacts[0] for f in ("g1", "g2")]
    first, second = (record(store, "train", Model, fingerprint="m", inputs={"graph": g}) for g in graphs)
    assert store.latest("flights", Model) == second.artifacts[0]
    assert store.latest("flights", Model, excluding=["g2"]) == first.artifacts[0]
    for model in (first, second):
        verdict = {"model": model.artifacts[0]}
        record(store, "evaluate", ModelBlessing, fingerprint=model.name, inputs=verdict, properties={"approved": 1})
    assert store.latest_approved("flights", Model, by=ModelBlessing, excluding=["g2"]) == first.artifacts[0]
    assert store.latest_approved("flights", Model, by=ModelBlessing, excluding=["g1", "g2"]) is None


def test_the_model_of_a_run(store: MetadataStore) -> None:
    made = record(store, "train", Model)
    store.begin_run("flights", "run-2")
    store.record_cached("run-2", made)
    store.end_run("run-2", "succeeded")
    store.begin_run("taxis", "other-3")
    assert store.of_run("run-2", Model) == made.artifacts[0]
    assert store.of_run("run-1", Model) == made.artifacts[0]
    with pytest.raises(ArgumentError, match=r"There is no run 'run-9'. There are: run-2\."):
        store.of_run("run-9", Model)
    with pytest.raises(ArgumentError, match="Run 'other-3' of pipeline 'taxis' has no Model: running"):
        store.of_run("oth", Model)


def test_one_execution_may_leave_several_artifacts(store: MetadataStore) -> None:
    made = record(store, "evaluate", (Model, ModelBlessing), key="k")
    assert [type(a) for a in made.artifacts] == [Model, ModelBlessing]
    found = store.lookup("flights", "k")
    assert found is not None
    assert found.artifacts == made.artifacts


def test_the_latest_execution_whose_folder_is_there_counts(store: MetadataStore) -> None:
    first, second = record(store, "train", Model), record(store, "train", Model)
    found = store.lookup("flights", "key")
    assert found is not None
    assert found.path == second.path
    second.path.rmdir()
    found = store.lookup("flights", "key")
    assert found is not None
    assert found.path == first.path
    first.path.rmdir()
    assert store.lookup("flights", "key") is None


def test_a_root_may_be_moved_as_a_whole(store: MetadataStore) -> None:
    made = record(store, "train", Model)
    store.close()
    moved = store.root.rename(store.root.with_name("moved"))
    found = MetadataStore.open(moved).lookup("flights", "key")
    assert found is not None
    assert found.path == moved / "flights" / "train" / made.name


def test_the_latest_artifact_that_is_not_the_present_one(store: MetadataStore) -> None:
    record(store, "generate_statistics", Statistics, fingerprint="monday")
    record(store, "generate_statistics", Statistics, fingerprint="tuesday")
    record(store, "generate_statistics", Statistics, fingerprint="other", pipeline="taxis")

    def fingerprint(**options: Any) -> str | None:
        found = store.latest("flights", Statistics, **options)
        return None if found is None else found.fingerprint

    assert fingerprint() == "tuesday"
    assert fingerprint(excluding=["tuesday"]) == "monday"
    assert fingerprint(excluding=["tuesday", "monday"]) is None
    assert store.latest("flights", Schema) is None


def test_artifacts_are_found_by_what_was_recorded_with_them(store: MetadataStore) -> None:
    good = record(store, "evaluate", ModelBlessing, properties={"blessed": True, "label": "it's"})
    record(store, "evaluate", ModelBlessing, properties={"blessed": False, "label": "no"})
    assert store.latest("flights", ModelBlessing, where={"blessed": 1}) == good.artifacts[0]
    assert store.latest("flights", ModelBlessing, where={"label": "it's"}) == good.artifacts[0]
    assert store.latest("flights", ModelBlessing, where={"blessed": 1, "label": "no"}) is None


def chain(store: MetadataStore, day: str, *, blessed: bool) -> dict[str, Artifact]:
    examples = record(store, "from_csv", Examples, fingerprint=f"{day} examples").artifacts[0]
    statistics = record(
        store, "generate_statistics", Statistics, fingerprint=f"{day} statistics", inputs={"examples": examples}
    ).artifacts[0]
    schema = record(store, "infer_schema", Schema, fingerprint=day, inputs={"statistics": statistics}).artifacts[0]
    inputs = {"examples": examples, "schema": schema, "again": examples}
    model = record(store, "train", Model, fingerprint=f"{day} model", inputs=inputs).artifacts[0]
    verdict = {"approved": int(blessed)}
    blessing = record(store, "evaluate", ModelBlessing, inputs={"model": model}, properties=verdict).artifacts[0]
    return {"examples": examples, "statistics": statistics, "model": model, "blessing": blessing, "schema": schema}


def test_lineage_leads_from_a_result_to_what_it_was_made_from(store: MetadataStore) -> None:
    made = chain(store, "monday", blessed=True)
    assert store.inputs(made["model"]) == {
        "examples": made["examples"], "schema": made["schema"], "again": made["examples"],
    }  # fmt: skip
    assert store.inputs(made["examples"]) == {}


def test_the_last_blessed_model_and_the_statistics_it_was_trained_on(store: MetadataStore) -> None:
    assert store.latest_approved("flights", Model, by=ModelBlessing) is None
    monday = chain(store, "monday", blessed=True)
    tuesday = chain(store, "tuesday", blessed=True)
    chain(store, "wednesday", blessed=False)
    assert store.latest_approved("flights", Model, by=ModelBlessing) == tuesday["model"]
    assert store.latest_approved("flights", Statistics, by=ModelBlessing) == tuesday["statistics"]
    assert store.latest_approved("flights", Model, by=ModelBlessing, excluding=["tuesday model"]) == monday["model"]
    assert store.latest_approved("taxis", Model, by=ModelBlessing) is None


def test_an_input_from_outside_the_root_is_kept_by_its_full_path(store: MetadataStore, tmp_path: Path) -> None:
    outside = Model(tmp_path / "elsewhere", "f", "train", "x")
    first = record(store, "evaluate", ModelBlessing, inputs={"model": outside})
    record(store, "evaluate", ModelBlessing, inputs={"model": outside})
    assert store.inputs(first.artifacts[0]) == {"model": outside}


def test_a_type_of_a_custom_component_comes_back(store: MetadataStore) -> None:
    @dataclass(frozen=True)
    class Embeddings(Artifact):
        """A type that is not among our own."""

    record(store, "embed", Embeddings, key="k")
    found = store.lookup("flights", "k")
    assert found is not None
    assert type(found.artifacts[0]) is Embeddings


def test_an_execution_is_recorded_once(store: MetadataStore) -> None:
    made = record(store, "train", Model)
    again: dict[str, Any] = {"pipeline": "flights", "run": "run-1", "step": "train", "step_type": "train"}
    with pytest.raises(StoreError, match="recorded already"):
        store.record(Manifest(**again, execution=made.name, key="x", fingerprint="x", seconds=0, produces=("Model",)))
    run = store.run("run-1")
    assert run is not None
    assert len(run.steps) == 1
    assert store.recorded_paths("flights") == {made.path}
    assert store.recorded_paths("taxis") == set()


def test_many_executions_are_read_page_by_page(store: MetadataStore) -> None:
    made = {record(store, "train", Model, key=f"k{i}").path for i in range(120)}
    assert store.recorded_paths("flights") == made


def test_a_run_shows_how_each_step_went(store: MetadataStore) -> None:
    first = record(store, "from_csv", Examples)
    store.end_run("run-1", "succeeded", {"runner": "direct"})
    store.begin_run("flights", "run-2", {"note": "again"})
    store.record_cached("run-2", first)
    second = record(store, "train", Model, run="run-2", inputs={"examples": first.artifacts[0]})
    store.record_failed(
        pipeline="flights", run="run-2", step_id="evaluate", step_type="evaluate", seconds=2, reason="Unknown metric."
    )
    store.end_run("run-2", "failed")
    latest, earlier = store.runs("flights")
    assert [(s.step, s.state, s.path) for s in latest.steps] == [
        ("from_csv", "cached", first.path), ("train", "ran", second.path), ("evaluate", "failed", None),
    ]  # fmt: skip
    assert (latest.state, earlier.state) == ("failed", "succeeded")
    assert (latest.properties, earlier.properties) == ({"note": "again"}, {"runner": "direct"})
    assert latest.finished is not None
    assert latest.finished >= latest.started
    assert store.lookup("flights", "key") is not None
    assert len(store.recorded_paths("flights")) == 2


def test_runs_are_listed_newest_first_and_found_by_a_prefix(store: MetadataStore) -> None:
    store.begin_run("taxis", "a_run-3")
    store.begin_run("flights", "a%run-4")
    assert [run.id for run in store.runs()] == ["a%run-4", "a_run-3", "run-1"]
    assert [run.id for run in store.runs(limit=2)] == ["a%run-4", "a_run-3"]
    assert [run.id for run in store.runs("flights")] == ["a%run-4", "run-1"]
    for prefix, found in (("run", "run-1"), ("a_", "a_run-3"), ("a%", "a%run-4"), ("a_run-3", "a_run-3")):
        run = store.run(prefix)
        assert run is not None
        assert run.id == found
    assert store.run("b") is None
    with pytest.raises(ArgumentError, match="Several runs start with 'a'"):
        store.run("a")


def test_an_id_is_taken_once_and_a_run_ends_in_a_known_state(store: MetadataStore) -> None:
    with pytest.raises(StoreError, match="running already"):
        store.begin_run("flights", "run-1")
    with pytest.raises(ArgumentError, match="cannot end as 'done'"):
        store.end_run("run-1", "done")
    store.end_run("run-1", "not pushed")
    with pytest.raises(StoreError, match="There is a run 'run-1' already"):
        store.begin_run("flights", "run-1")
    with pytest.raises(ArgumentError, match="No run 'run-1' is running here"):
        store.end_run("run-1", "failed")
    run = store.run("run-1")
    assert run is not None
    assert run.state == "not pushed"


PUBLISH_AND_DIE = """
import os, signal, sys
from pathlib import Path
from fluent_pipe.artifacts import Examples
from fluent_pipe.store.files import Staging, publish
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.metadata import MetadataStore
root = Path(sys.argv[1])
store = MetadataStore.open(root)
store.begin_run("flights", "killed")
staging = Staging.create(root / "flights")
def step(name, kind):
    folder = staging.folder(name)
    (folder / "data").write_text("data")
    destination = root / "flights" / name / "20260102-030405-1a2b3c4d"
    publish(folder, destination)
    return destination
first = step("from_csv", Examples)
store.record(Manifest(pipeline="flights", run="killed", step="from_csv", step_type="from_csv", execution=first.name,
                      key="first", fingerprint="f", seconds=1.0, produces=("Examples",)))
step("generate_statistics", Examples)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_between_publishing_and_recording_loses_only_that_step(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", PUBLISH_AND_DIE, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    store = MetadataStore.open(tmp_path)
    run = store.run("killed")
    assert run is not None
    assert run.state == "interrupted"
    assert run.finished is None
    assert [s.step for s in run.steps] == ["from_csv"]
    first = store.lookup("flights", "first")
    assert first is not None
    assert (first.path / "data").read_text() == "data"
    lost = tmp_path / "flights" / "generate_statistics" / "20260102-030405-1a2b3c4d"
    assert lost.is_dir()
    assert store.recorded_paths("flights") == {first.path}
    assert sweep_unrecorded(tmp_path / "flights", store.recorded_paths("flights"), grace_seconds=0) == [lost]
    assert first.path.is_dir()


RECORD_MANY = """
import sys
from pathlib import Path
from fluent_pipe.artifacts import Examples, Model
from fluent_pipe.store.manifest import Manifest
from fluent_pipe.store.metadata import MetadataStore
root, run = Path(sys.argv[1]), sys.argv[2]
store = MetadataStore.open(root)
store.begin_run("flights", run)
made = []
for i in range(25):
    folder = root / "flights" / f"s{i}" / run
    folder.mkdir(parents=True)
    inputs = store.read_by({"before": made[-1].artifacts[0]} if made else {})
    made.append(store.record(Manifest(pipeline="flights", run=run, step=f"s{i}", step_type="train", execution=run,
                                      key=f"{run}-{i}", fingerprint="f", seconds=1.0, produces=("Model",),
                                      inputs=inputs)))
store.end_run(run, "succeeded")
"""


def test_processes_record_in_one_new_store_at_once(tmp_path: Path) -> None:
    running = [subprocess.Popen([sys.executable, "-c", RECORD_MANY, str(tmp_path), name]) for name in ("a", "b")]
    assert [process.wait(120) for process in running] == [0, 0]
    store = MetadataStore.open(tmp_path, create=False)
    assert len(store.recorded_paths("flights")) == 50
    assert all(store.lookup("flights", f"{run}-{i}") for run in "ab" for i in range(25))
    assert sorted((r.id, r.state, len(r.steps)) for r in store.runs()) == [
        ("a", "succeeded", 25),
        ("b", "succeeded", 25),
    ]
    types = store._database.call("get_artifact_types")
    assert [t.name for t in types].count("Model") == 1


def test_a_published_folder_and_its_record_go_together(store: MetadataStore, tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    destination = store.root / "flights" / "train" / new_execution_name()
    publish(staged, destination)
    assert store.lookup("flights", "k") is None
    train: dict[str, Any] = {"pipeline": "flights", "run": "run-1", "step": "train", "step_type": "train"}
    store.record(
        Manifest(**train, execution=destination.name, key="k", fingerprint="f", seconds=0.0, produces=("Model",))
    )
    found = store.lookup("flights", "k")
    assert found is not None
    assert found.path == destination
