"""Opening a metadata store: which database, which version, and what is said when it cannot be used."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fluent_pipe.errors import ArgumentError, StoreError
from fluent_pipe.store import connection
from fluent_pipe.store.connection import connection_config, protos
from fluent_pipe.store.metadata import MetadataStore


def fields(root: Path, url: str | None) -> Any:
    config = connection_config(root, url)
    config.ClearField("retry_options")
    return config


def test_urls_become_connections_of_ml_metadata(tmp_path: Path) -> None:
    config, mode = protos().ConnectionConfig, protos().SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    at = str(tmp_path / "metadata.sqlite")
    assert fields(tmp_path, None) == config(sqlite={"filename_uri": at, "connection_mode": mode})
    absolute = {"filename_uri": "/data/m d.sqlite", "connection_mode": mode}
    assert fields(tmp_path, "sqlite:////data/m%20d.sqlite") == config(sqlite=absolute)
    relative = {"filename_uri": "data/m.sqlite", "connection_mode": mode}
    assert fields(tmp_path, "sqlite:///data/m.sqlite") == config(sqlite=relative)
    mysql: dict[str, Any] = {"host": "db.example", "port": 3307, "database": "ml", "user": "ana", "password": "a@b/c"}
    assert fields(tmp_path, "mysql://ana:a%40b%2Fc@db.example:3307/ml") == config(mysql=mysql)
    mysql |= {"port": 3306, "ssl_options": {"ca": "/ca.pem", "verify_server_cert": True}}
    url = "mysql://ana:a%40b%2Fc@db.example/ml?ca=/ca.pem&verify_server_cert=true"
    assert fields(tmp_path, url) == config(mysql=mysql)
    postgresql: dict[str, Any] = {"host": "db", "port": "5432", "dbname": "ml", "user": "ana", "password": "p"}
    assert fields(tmp_path, "postgresql://ana:p@db/ml") == config(postgresql=postgresql)
    postgresql |= {"port": "5433", "ssloption": {"sslmode": "require"}}
    assert fields(tmp_path, "postgresql://ana:p@db:5433/ml?sslmode=require") == config(postgresql=postgresql)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysq://ana:secret@db/ml", "unknown scheme 'mysq'.*Did you mean 'mysql'"),
        ("mysql://ana:secret@db", "names no host or no database"),
        ("mysql://ana:secret@db:many/ml", "port must be a number"),
        ("postgresql://ana:secret@db/ml?sslmod=x", "unknown option 'sslmod'.*Did you mean 'sslmode'"),
    ],
)
def test_urls_that_cannot_be_read_are_explained_without_the_password(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        MetadataStore.open(tmp_path, url)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(vars(caught.value))
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_an_error_without_the_password(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError, match=r"mysql://127\.0\.0\.1:1/ml: The metadata store failed") as caught:
        MetadataStore.open(tmp_path, "mysql://ana:secret@127.0.0.1:1/ml")
    assert "secret" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_store_is_made_where_it_is_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "root"
    with pytest.raises(StoreError, match="There is no metadata store here"):
        MetadataStore.open(root, create=False)
    assert not root.exists()
    MetadataStore.open(root)
    assert json.loads((root / "layout.json").read_text()) == {"layout": 1}
    MetadataStore.open(root, create=False)
    MetadataStore.open(root, f"sqlite:///{tmp_path / 'other' / 'm.sqlite'}")
    assert (tmp_path / "other" / "m.sqlite").exists()


def content(root: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}


def test_a_root_of_a_newer_layout_is_left_as_it_was(tmp_path: Path) -> None:
    MetadataStore.open(tmp_path)
    (tmp_path / "layout.json").write_text('{"layout": 7}')
    before = content(tmp_path)
    with pytest.raises(
        StoreError, match=r"written with layout 7; this version reads layouts up to 1.*Upgrade fluent-pipe"
    ):
        MetadataStore.open(tmp_path)
    (tmp_path / "layout.json").write_text("what")
    with pytest.raises(StoreError, match="layout marker of the root cannot be read"):
        MetadataStore.open(tmp_path)
    (tmp_path / "layout.json").write_text('{"layout": 7}')
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("version", "said"), [(99, "schema version 99; ML Metadata .* up to 10.*Upgrade"), (6, "needs 10")]
)
def test_a_database_of_another_schema_is_left_as_it_was(tmp_path: Path, version: int, said: str) -> None:
    MetadataStore.open(tmp_path)
    with sqlite3.connect(tmp_path / "metadata.sqlite") as database:
        database.execute("UPDATE MLMDEnv SET schema_version = ?", (version,))
    database.close()
    before = content(tmp_path)
    with pytest.raises(StoreError, match=said):
        MetadataStore.open(tmp_path)
    assert content(tmp_path) == before


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "metadata.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match=r"metadata\.sqlite: The metadata store is damaged") as caught:
        MetadataStore.open(tmp_path)
    assert "Restore it" in str(caught.value)
    assert not (tmp_path / "layout.json").exists()


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file")
    with pytest.raises(StoreError, match="A file stands where a folder is needed"):
        MetadataStore.open(tmp_path / "root")
    assert (tmp_path / "root").read_text() == "a file"


LOCK = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
"""


def locked(root: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LOCK, str(root / "metadata.sqlite"), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_store_that_is_locked_for_a_while_is_waited_for(tmp_path: Path) -> None:
    store = MetadataStore.open(tmp_path)
    process = locked(tmp_path, 1.5)
    store.begin_run("flights", "run")
    process.wait()
    run = store.run("run")
    assert run is not None
    assert run.state == "running"


def test_a_store_that_stays_locked_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MetadataStore.open(tmp_path)
    monkeypatch.setattr(connection, "BUSY_SECONDS", 1.0)
    process = locked(tmp_path, 60)
    try:
        with pytest.raises(StoreError, match="kept locked by another process; gave up after 1 s"):
            store.begin_run("flights", "run")
    finally:
        process.kill()
        process.wait()
    store.begin_run("flights", "run")


def test_the_store_is_light_and_quiet(tmp_path: Path) -> None:
    """Opening and ten lookups take under 0.3 s on two idle cores; the bound here leaves room for busy ones."""
    MetadataStore.open(tmp_path)
    program = """
import sys, time
start = time.perf_counter()
from pathlib import Path
from fluent_pipe.store import files, fingerprint, metadata
assert "ml_metadata" not in sys.modules
store = metadata.MetadataStore.open(Path(sys.argv[1]))
for i in range(10):
    store.lookup("flights", f"k{i}")
seconds = time.perf_counter() - start
heavy = {"tensorflow", "apache_beam", "pandas", "pyarrow"} & set(sys.modules)
print(seconds if not heavy else heavy)
"""
    said = [
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    assert min(float(s.stdout) for s in said) < 0.9
    assert {s.stderr for s in said} == {""}
