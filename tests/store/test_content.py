"""Content hashes of files and folders."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_pipe.errors import InputError
from fluent_pipe.store.content import files_of, of_files, of_stream
from fluent_pipe.store.fingerprint import FileHashes, of_file, of_folder


def write(path: Path, content: bytes, *, age_seconds: float = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    when = path.stat().st_mtime - age_seconds
    os.utime(path, (when, when))
    return path


@settings(deadline=None, max_examples=20)
@given(st.binary(), st.binary())
def test_files_hash_alike_exactly_when_their_bytes_are_alike(
    tmp_path_factory: pytest.TempPathFactory, a: bytes, b: bytes
) -> None:
    folder = tmp_path_factory.mktemp("files")
    assert (of_file(write(folder / "a", a)) == of_file(write(folder / "b", b))) == (a == b)


def test_a_file_larger_than_a_chunk_counts_to_its_last_byte(tmp_path: Path) -> None:
    large = bytes(3_000_001)
    assert of_file(write(tmp_path / "a", large)) != of_file(write(tmp_path / "b", large[:-1] + b"x"))


def test_a_hash_is_remembered_by_path_size_and_mtime(tmp_path: Path) -> None:
    cache = FileHashes(tmp_path / "cache" / "hashes.sqlite")
    file = write(tmp_path / "data.csv", b"1234")
    stat = file.stat()
    first = of_file(file, cache)
    assert cache.get(file, stat.st_size, stat.st_mtime_ns) == first
    file.write_bytes(b"4321")
    assert of_file(file, cache) == of_file(file) != first, "a new mtime"
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert of_file(file, cache) == first, "neither size nor mtime tells: the content was not read"


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    cache = FileHashes(tmp_path / "hashes.sqlite")
    file = write(tmp_path / "data.csv", b"1234", age_seconds=0)
    of_file(file, cache)
    assert cache.get(file, 4, file.stat().st_mtime_ns) is None


def test_a_broken_memory_is_made_anew(tmp_path: Path) -> None:
    cache = FileHashes(write(tmp_path / "hashes.sqlite", b"this is no database" * 100))
    file = write(tmp_path / "data.csv", b"1234")
    assert of_file(file, cache) == of_file(file)
    assert of_file(file, cache) == of_file(file)
    assert cache.get(file, 4, file.stat().st_mtime_ns) == of_file(file)


def test_processes_share_one_memory(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{i}.csv", str(i).encode()) for i in range(40)]
    program = (
        "import sys; from pathlib import Path; from fluent_pipe.store.content import FileHashes, of_file\n"
        "cache = FileHashes(Path(sys.argv[1]))\n"
        "for name in sys.argv[2:]: of_file(Path(name), cache)"
    )
    names = [str(file) for file in files]
    command = [sys.executable, "-c", program, str(tmp_path / "hashes.sqlite")]
    running = [subprocess.Popen([*command, *order]) for order in (names, names[::-1])]
    assert [process.wait(60) for process in running] == [0, 0]
    cache = FileHashes(tmp_path / "hashes.sqlite")
    assert all(cache.get(f, f.stat().st_size, f.stat().st_mtime_ns) == of_file(f) for f in files)


def test_a_folder_is_its_names_and_contents(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x" / "1.txt", b"one")
    write(tmp_path / "a" / "2.txt", b"two")
    write(tmp_path / "b" / "2.txt", b"two")
    write(tmp_path / "b" / "x" / "1.txt", b"one")
    assert of_folder(tmp_path / "a") == of_folder(tmp_path / "b")
    write(tmp_path / "b" / ".hidden", b"")
    write(tmp_path / "b" / ".cache" / "3.txt", b"three")
    assert of_folder(tmp_path / "a") == of_folder(tmp_path / "b"), "names that start with a dot do not count"
    (tmp_path / "a" / "copy.gz").write_bytes(b"x")
    assert of_folder(tmp_path / "a", leave_out="*.gz") == of_folder(tmp_path / "b")
    (tmp_path / "a" / "copy.gz").unlink()
    (tmp_path / "b" / "2.txt").rename(tmp_path / "b" / "3.txt")
    assert of_folder(tmp_path / "a") != of_folder(tmp_path / "b")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.csv: The file cannot be read: No such file"):
        of_file(tmp_path / "missing.csv")
    with pytest.raises(InputError, match="no such folder"):
        of_folder(tmp_path / "missing")


def test_a_folder_is_known_by_the_hashes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "Split-train").mkdir()
    (tmp_path / "Split-train" / "a.parquet").write_bytes(b"rows")
    (tmp_path / "facts.json").write_bytes(b"{}")
    (tmp_path / ".hidden").write_bytes(b"")
    files = files_of(tmp_path)
    assert files == {
        "Split-train/a.parquet": (4, of_stream(io.BytesIO(b"rows"))),
        "facts.json": (2, of_file(tmp_path / "facts.json")),
    }
    hashes = {name: value for name, (_, value) in files.items()}
    assert of_files(hashes) == of_folder(tmp_path)
    assert of_files(hashes, leave_out="facts*") == of_folder(tmp_path, leave_out="facts*") != of_files(hashes)
