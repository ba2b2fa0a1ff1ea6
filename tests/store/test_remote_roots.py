"""Roots on object stores, against emulators: what is published, what another machine finds, what a kill leaves."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from typer.testing import CliRunner

import fluent_pipe as fp
from fluent_pipe import mirror, remote
from fluent_pipe.artifacts import Examples, Schema
from fluent_pipe.cli import app
from fluent_pipe.errors import ArgumentError, RunnerError, StoreError
from fluent_pipe.mirror import Root
from fluent_pipe.runners.direct import Direct
from fluent_pipe.store.content import of_stream
from fluent_pipe.store.manifest import Manifest, row_names
from fluent_pipe.store.manifests import Manifests
from fluent_pipe.store.metadata import MetadataStore
from fluent_pipe.store.publishing import stage
from tests import emulators, trips

STORES = {"gs": emulators.gcs, "s3": emulators.s3}
STEPS = ["from_csv", "generate_statistics", "infer_schema"]


@pytest.fixture(scope="module", params=STORES)
def bucket(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty bucket."""
    with STORES[request.param]() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        fsspec.filesystem(request.param).clear_instance_cache()
        fsspec.filesystem(request.param).mkdir(emulators.BUCKET)
        yield f"{request.param}://{emulators.BUCKET}"


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trips.write(tmp_path_factory.mktemp("csv") / "trips.csv", trips.rows(300))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose cache is empty."""
    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def chain(root: str | Path, csv: Path) -> fp.Pipeline:
    return fp.Pipeline("trips", root=root).from_csv(csv).generate_statistics().infer_schema()


@dataclass(frozen=True)
class First:
    """A run on the machine that published all there is."""

    root: str
    run: fp.Run
    cache: Path


@pytest.fixture(scope="module")
def first(bucket: str, csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    cache = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUENT_PIPE_CACHE", str(cache))
        run = chain(f"{bucket}/first", csv).run(progress=False)
    return First(f"{bucket}/first", run, cache)


@pytest.fixture(scope="module")
def local(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> fp.Run:
    return chain(tmp_path_factory.mktemp("local"), csv).run(progress=False)


def names(folder: str) -> list[str]:
    system, path = remote.file_system(folder)
    try:
        return sorted(name.removeprefix(f"{path}/") for name in system.find(path))
    except FileNotFoundError:
        return []


def test_results_are_those_of_a_local_root(first: First, local: fp.Run) -> None:
    assert first.run.timings.steps_run == tuple(STEPS)
    for kind in (Examples, Schema):
        assert first.run.artifact(kind).fingerprint == local.artifact(kind).fingerprint
    assert first.run.statistics.rows() == local.statistics.rows()
    assert first.run.schema.rows() == local.schema.rows()
    assert first.run.examples.table("train").equals(local.examples.table("train"))


def test_a_manifest_names_what_lies_there(first: First) -> None:
    examples = first.run.artifact(Examples)
    assert examples.url == f"{first.root}/trips/from_csv/{examples.execution}"
    manifest = json.loads(remote.read_bytes(mirror.manifest_url(examples.url)))
    assert sorted(manifest["files"]) == names(examples.url)
    assert manifest["rows"] == [n for n in names(examples.url) if n.endswith(".parquet")]
    assert (manifest["fingerprint"], manifest["step"]) == (examples.fingerprint, "from_csv")
    folders = {name.split("/")[0] for name in names(f"{first.root}/trips")}
    assert folders == {*STEPS, "runs", "_manifests"}
    for file in ("log.txt", "report.html"):
        assert len([n for n in names(f"{first.root}/trips") if n.endswith(file)]) == 1


def test_the_same_machine_has_all_cached(first: First, csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUENT_PIPE_CACHE", str(first.cache))
    run = chain(first.root, csv).run(progress=False)
    assert run.timings.steps_run == ()
    assert run.artifact(Schema) == first.run.artifact(Schema)


def test_another_machine_has_all_cached_and_reads_the_results(
    first: First, csv: Path, machine: Path, local: fp.Run
) -> None:
    pipeline = chain(first.root, csv)
    assert {p.state for p in pipeline.plan().steps} == {"cached"}
    run = pipeline.run(progress=False)
    assert run.timings.steps_run == ()
    examples = run.artifact(Examples)
    assert examples.path.is_relative_to(machine)
    assert not list(examples.path.rglob("*.parquet"))
    assert run.schema.rows() == local.schema.rows()
    assert run.statistics.rows() == local.statistics.rows()
    addresses = examples.addresses("train")
    assert all(a.startswith(f"{examples.url}/Split-train/") for a in addresses)
    assert [mirror.nearby(a) for a in addresses] == addresses
    assert run.examples.table("train").equals(local.examples.table("train"))
    assert [mirror.nearby(a) for a in addresses] == [str(f) for f in examples.files("train")]
    assert not list((examples.path / "Split-eval").glob("*.parquet"))


def test_another_machine_knows_lineage_and_runs(first: First, machine: Path) -> None:
    store = MetadataStore.open(Root.of(first.root))
    store.sync()
    schema = store.latest("trips", Schema)
    assert schema is not None
    assert schema.url == first.run.artifact(Schema).url
    assert store.inputs(schema)["statistics"].step == "generate_statistics"
    assert store.latest("trips", Schema, excluding=[schema.fingerprint]) is None
    run = store.run(first.run.id)
    assert run is not None
    assert (run.pipeline, run.state, [s.step for s in run.steps]) == ("trips", "succeeded", STEPS)
    assert store.of_run(first.run.id, Schema) == schema
    assert first.run.id in CliRunner().invoke(app, ["runs", "--root", first.root]).stdout
    shown = CliRunner().invoke(app, ["show", first.run.id, "--root", first.root]).stdout
    for file in ("log.txt", "report.html"):
        assert f"{first.root}/trips/runs/{first.run.id}/{file}" in shown


def test_an_artifact_arrives_on_another_machine_with_its_small_files(first: First, machine: Path) -> None:
    examples = first.run.artifact(Examples)
    sent = pickle.dumps(examples)
    assert pickle.loads(sent) == examples, "this machine has the folder"
    away = examples.path.rename(examples.path.with_name("away"))  # what another machine sees
    try:
        arrived = pickle.loads(sent)
        assert arrived.path.is_relative_to(machine)
        assert arrived.url == examples.url
    finally:
        away.rename(examples.path)
    assert arrived.facts() == examples.facts()
    assert [f.read_bytes() for f in arrived.files("eval")] == [f.read_bytes() for f in examples.files("eval")]


KILLED = """
import os, signal, sys
from tests.store.test_remote_roots import chain
from fluent_pipe.store import publishing
write = publishing.write_bytes
def die(location, content):
    if "_manifests/generate_statistics" in location:
        os.kill(os.getpid(), signal.SIGKILL)
    write(location, content)
publishing.write_bytes = die
chain(sys.argv[1], sys.argv[2]).run(progress=False)
"""


@pytest.mark.slow
def test_a_kill_before_the_manifest_leaves_nothing(bucket: str, csv: Path, machine: Path, local: fp.Run) -> None:
    root = f"{bucket}/killed"
    killed = subprocess.run([sys.executable, "-c", KILLED, root, str(csv)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert any(name.endswith("FeatureStats.pb") for name in names(f"{root}/trips/generate_statistics"))
    shutil.rmtree(machine)
    run = chain(root, csv).run(progress=False)
    assert run.timings.steps_run == ("generate_statistics", "infer_schema")
    assert run.statistics.rows() == local.statistics.rows()
    left = Manifests(root)
    executions, _ = left.listed("trips")
    assert left.sweep("trips", executions) == [], "it is young: it may be of a run at work"
    (swept,) = left.sweep("trips", executions, grace_seconds=-1)
    assert names(swept) == []
    assert left.listed("trips")[0] == executions
    assert run.artifact(Schema).url in {f"{root}/trips/{e}" for e in executions}


def test_an_upload_that_breaks_off_is_an_error_and_the_next_run_goes_on(
    bucket: str, csv: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, send = f"{bucket}/broken", remote._put

    def broken(url: str, file: Path) -> int:
        if url.endswith("schema.pbtxt"):
            with remote.reaching(url, "written"):
                raise ConnectionResetError("Connection reset by peer")
        return send(url, file)

    monkeypatch.setattr(remote, "_put", broken)
    with pytest.raises(StoreError, match=r"schema.pbtxt: It cannot be written: .*reset by peer") as met:
        chain(root, csv).run(progress=False)
    assert met.value.step == "infer_schema"
    monkeypatch.setattr(remote, "_put", send)
    assert chain(root, csv).run(progress=False).timings.steps_run == ("infer_schema",)


def published(root: Root, step: str, *, files: Mapping[str, bytes], key: str = "k") -> str:
    """What a step left by workers that do not see this disk, published; its URL."""
    with stage(root, "trips", shared_disk=False) as staging:
        url = str(staging.folder(step))
        for name, content in files.items():
            remote.write_bytes(f"{url}/{name}", content)
        staged = staging.staged(step, (Examples,))
        manifest = Manifest(
            pipeline="trips", run="r", step=step, step_type=step, execution=staged.execution, key=key,
            fingerprint=staged.fingerprint, seconds=1.0, produces=("Examples",), files=staged.files,
            rows=row_names(staged.files, (Examples,)),
        )  # fmt: skip
        staging.publish(staged, manifest)
    return url


def synced(root: Root) -> MetadataStore:
    store = MetadataStore.open(root)
    store.sync("trips")
    return store


def test_workers_elsewhere_write_where_it_is_published(bucket: str, machine: Path) -> None:
    root = Root.of(f"{bucket}/elsewhere")
    files = {"examples.json": b"{}", "Split-train/a.parquet": b"first", "Split-train/b.parquet": b"second"}
    url = published(root, "from_csv", files={**files, ".failure.pickle": b"of an earlier attempt"})
    assert url.startswith(f"{root.url}/trips/from_csv/")
    assert names(url) == sorted(files)
    found = synced(root).lookup("trips", "k")
    assert found is not None
    (examples,) = found.artifacts
    assert isinstance(examples, Examples)
    assert sorted(p.name for p in examples.path.rglob("*") if p.is_file()) == [".manifest.json", "examples.json"]
    assert [f.read_bytes() for f in examples.files("train")] == [b"first", b"second"]


def test_staging_elsewhere_begins_empty_and_leaves_nothing(bucket: str, machine: Path) -> None:
    with stage(Root.of(f"{bucket}/staging"), "trips", shared_disk=False) as staging:
        url = str(staging.folder("from_csv"))
        remote.write_bytes(f"{url}/half", b"written")
        assert staging.folder("from_csv") == url, "for a second attempt"
        assert names(url) == []
        remote.write_bytes(f"{url}/half", b"written")
    assert names(url) == []


def test_what_workers_say_of_their_files_is_not_read_again(bucket: str, machine: Path) -> None:
    with stage(Root.of(f"{bucket}/said"), "trips", shared_disk=False) as staging:
        url = str(staging.folder("from_csv"))
        remote.write_bytes(f"{url}/Split-train/a.parquet", b"first")
        remote.write_bytes(f"{url}/Split-train/b.parquet", b"second")
        said = {"Split-train/a.parquet": [5, "as it was said"], "Split-train/b.parquet": [1, "of another attempt"]}
        remote.write_bytes(f"{url}/.hashes/1.json", json.dumps(said).encode())
        files = staging.staged("from_csv", (Examples,)).files
    assert files == {
        "Split-train/a.parquet": (5, "as it was said"),
        "Split-train/b.parquet": (6, of_stream(io.BytesIO(b"second"))),
    }


def test_machines_agree_on_what_is_the_latest(bucket: str, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{bucket}/agree"
    now = iter(["20260102-030405-00000000", "20260102-030406-00000000"])
    monkeypatch.setattr("fluent_pipe.store.remote_stage.new_execution_name", lambda: next(now))
    older = published(Root.of(url), "from_csv", files={"examples.json": b"{}"})
    kept = json.loads(remote.read_bytes(mirror.manifest_url(older)))
    remote.remove(mirror.manifest_url(older))  # its job goes on for longer than that of the newer one
    newer = published(Root.of(url), "from_csv", files={"examples.json": b"[]"})
    assert synced(Root.of(url)).latest("trips", Examples).url == newer  # type: ignore[union-attr]
    remote.write_bytes(mirror.manifest_url(older), json.dumps(kept).encode())
    for cache in (machine, machine / "another"):
        monkeypatch.setenv("FLUENT_PIPE_CACHE", str(cache))
        store = synced(Root.of(url))
        found = store.lookup("trips", "k")
        assert found is not None
        assert found.artifacts[0].url == newer
        assert store.latest("trips", Examples) == found.artifacts[0]
        assert len(store.recorded_paths("trips")) == 2


def test_what_a_manifest_names_and_is_gone_does_not_count(first: First, csv: Path, machine: Path, bucket: str) -> None:
    root = f"{bucket}/gone"
    system, source = remote.file_system(first.root)
    system.copy(source, remote.file_system(root)[1], recursive=True)
    for url in names(f"{root}/trips/infer_schema"):
        remote.remove(f"{root}/trips/infer_schema/{url}")
    assert [p.state for p in chain(root, csv).plan().steps] == ["cached", "cached", "run"]


@dataclass(frozen=True)
class Elsewhere(Direct):
    """Says that its workers do not see this disk."""

    def capabilities(self) -> Any:
        return replace(super().capabilities(), shared_disk=False)


def test_a_local_root_is_refused_where_workers_do_not_see_it(tmp_path: Path, csv: Path) -> None:
    with pytest.raises(RunnerError, match=r"do not see this folder.*gs://.*s3://.*shared_disk=True"):
        chain(tmp_path / "root", csv).run(Elsewhere(), progress=False)
    assert not (tmp_path / "root").exists()


def test_a_bucket_that_is_not_there_is_refused_before_anything_starts(bucket: str, csv: Path, machine: Path) -> None:
    with pytest.raises(StoreError, match="There is no such bucket"):
        chain(bucket + "-missing/root", csv).run(progress=False)
    assert not list(machine.rglob("metadata.sqlite"))


def test_a_store_that_does_not_answer_is_refused_soon(
    bucket: str, csv: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_pipe.store.manifests.PROBE_SECONDS", 2.0)
    for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    scheme = bucket.partition(":")[0]
    fsspec.filesystem(scheme).clear_instance_cache()
    begun = time.monotonic()
    try:
        with pytest.raises(StoreError, match=r"does not answer|cannot be written"):
            chain(f"{bucket}/root", csv).run(progress=False)
        with pytest.raises(StoreError, match=r"does not answer|cannot be read"):
            chain(f"{bucket}/root", csv).plan()
    finally:
        fsspec.filesystem(scheme).clear_instance_cache()
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("root", ["http://bucket/x", "gs://", "s3:///", Path("gs://bucket")])
def test_a_root_that_is_no_bucket_is_refused_at_the_call(root: str | Path) -> None:
    with pytest.raises(ArgumentError, match="root="):
        fp.Pipeline("trips", root=root)


def test_a_root_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    monkeypatch.setenv("FLUENT_PIPE_ROOT", "gcs://bucket/results/")
    assert fp.Pipeline("trips").root == "gs://bucket/results"
    assert Root.of("gs://bucket/results").home.is_relative_to(machine)
    assert Root.of("gs://bucket/results").home != Root.of("s3://bucket/results").home


def test_the_page_over_runs_shows_what_another_machine_did(first: First, machine: Path) -> None:
    from starlette.testclient import TestClient

    from fluent_pipe.ui.app import Pages
    from fluent_pipe.ui.history import History

    history = History(Root.of(first.root))
    client = TestClient(Pages(history).app(), base_url="http://127.0.0.1")
    assert first.run.id in client.get("/p/trips").text
    page = client.get(f"/r/{first.run.id}").text
    assert "infer_schema" in page
    assert "It is not on this machine." in page  # its log
    assert "made from" in client.get(f"/r/{first.run.id}/lineage").text
    assert client.get(f"/r/{first.run.id}/report").status_code == 200
