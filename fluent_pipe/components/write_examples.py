"""Rows of a job into an Examples folder: files that workers write side by side, named and counted in one last step."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe.arrow.files import Rejected
from fluent_pipe.arrow.parquet import BatchWriter
from fluent_pipe.arrow.tf_example import serialized
from fluent_pipe.arrow.tfrecord_file import RecordFile
from fluent_pipe.artifacts import Examples
from fluent_pipe.components.base import Context
from fluent_pipe.errors import InputError

ROWS_PER_FILE = 1 << 20
REJECTED = "rejected"

Written = tuple[str, str, int]
"""Split, stem of the file's name in the split's folder, rows."""

_PARQUET = ".parquet"
_RECORDS = ".gz"  # as TFX names TFRecord files, which are gzipped


class HasSchema(Protocol):
    """What says of which schema all batches are."""

    @property
    def schema(self) -> pa.Schema:
        """The schema."""


class Seen(NamedTuple):
    """What one worker saw of one piece: rows read and rejected, the file of the rejected ones, the first of them."""

    rows: int
    rejected: int = 0
    file: str = ""
    first: tuple[Rejected, ...] = ()


class WriteSplit(beam.DoFn):  # type: ignore[misc]
    """Writes the batches of one split; emits :data:`Written` for each file.

    Files have names of their own, so that a bundle that is tried twice leaves a file that nobody names. With
    ``as_records``, each Parquet file has a TFRecord file of the same rows.
    """

    def __init__(
        self, context: Context, split: str, *, rows_per_file: int = ROWS_PER_FILE, as_records: bool = False
    ) -> None:
        super().__init__()
        self._context = context
        self._split = split
        self._rows_per_file = rows_per_file
        self._as_records = as_records
        self._writers: list[_PartWriter] = []

    def start_bundle(self) -> None:
        self._writers = []

    def process(self, batch: pa.RecordBatch) -> Iterable[Written]:
        """Write a batch; what was written is told at the bundle's end."""
        with self._context.explained():
            if not self._writers or self._writers[-1].rows >= self._rows_per_file:
                if self._writers:
                    self._writers[-1].close()
                self._writers.append(_PartWriter(self._context.folder, self._split, self._as_records))
            self._writers[-1].write(batch)
        return ()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        with self._context.explained():
            if self._writers:
                self._writers[-1].close()
        for writer in self._writers:
            written: Written = (self._split, writer.stem, writer.rows)
            yield WindowedValue(written, MIN_TIMESTAMP, [GlobalWindow()])


class _PartWriter:
    """One Parquet file, and beside it, where asked, the same rows as ``tf.Example``."""

    def __init__(self, folder: Path, split: str, as_records: bool) -> None:
        self.stem = f"part-{uuid.uuid4().hex}"
        rows, records = rows_folder(folder, split, as_records), folder / f"Split-{split}"
        self._batches = BatchWriter(rows / f"{self.stem}{_PARQUET}")
        self._records = RecordFile(records / f"{self.stem}{_RECORDS}") if as_records else None

    @property
    def rows(self) -> int:
        return self._batches.rows

    def write(self, batch: pa.RecordBatch) -> None:
        self._batches.write(batch)
        if self._records is not None:
            self._records.write(serialized(batch))

    def close(self) -> None:
        self._batches.close()
        if self._records is not None:
            self._records.close()


class RejectedWriter:
    """Writes rejected rows of one piece as lines of JSON; the file is created at the first."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / REJECTED / f"part-{uuid.uuid4().hex}.jsonl"
        self.count = 0
        self.first: list[Rejected] = []

    def write(self, rows: Sequence[Rejected]) -> None:
        """Add rows."""
        if not rows:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows)
        self.count += len(rows)
        self.first = [*self.first, *rows][:3]

    def seen(self, rows: int) -> Seen:
        """The account of the piece, of which ``rows`` were read."""
        return Seen(rows, self.count, self._path.name if self.count else "", tuple(self.first))


@dataclass(frozen=True)
class Finish:
    """The last step: checks counts, gives files their names, writes ``examples.json``.

    Parameters
    ----------
    context
        Where the files are.
    splits
        Names and shares; a share of None where rows go where their file says.
    max_rejected
        Share of rows that may be rejected.
    spooled
        A folder in staging that is no longer needed, or None.
    as_records
        Whether there are TFRecord files too.
    """

    context: Context
    splits: tuple[tuple[str, float | None], ...]
    max_rejected: float
    spooled: str | None = None
    as_records: bool = False

    def __call__(self, written: Iterable[Written], seen: Iterable[Seen], reader: HasSchema) -> Mapping[str, int]:
        """Finish the folder of batches that ``reader`` read; rows by split."""
        parts, pieces = list(written), [Seen(*piece) for piece in seen]
        rows, rejected = sum(piece.rows for piece in pieces), sum(piece.rejected for piece in pieces)
        check_rejected(pieces, rows + rejected, self.max_rejected)
        by_split = {name: sum(n for split, _, n in parts if split == name) for name, _ in self.splits}
        self._check_splits(by_split)
        for split, _ in self.splits:
            rows_in = rows_folder(self.context.folder, split, self.as_records)
            names = _by_content(rows_in, [f"{stem}{_PARQUET}" for owner, stem, _ in parts if owner == split])
            _rename(rows_in, names, "data", _PARQUET)
            if self.as_records:
                same = [f"{Path(name).stem}{_RECORDS}" for name in names]
                _rename(self.context.folder / f"Split-{split}", same, "data_tfrecord", _RECORDS)
        if (self.context.folder / REJECTED).exists():
            folder = self.context.folder / REJECTED
            _rename(folder, _by_content(folder, [p.file for p in pieces if p.file]), "rows", ".jsonl")
        if self.spooled is not None:
            shutil.rmtree(self.spooled, ignore_errors=True)
        facts = {
            "splits": {name: {"rows": count} for name, count in by_split.items()},
            "columns": {field.name: str(field.type) for field in reader.schema},
            "rejected": rejected,
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (self.context.folder / Examples.facts_file).write_text(text, encoding="utf-8")
        return by_split

    def _check_splits(self, by_split: Mapping[str, int]) -> None:
        total = sum(by_split.values())
        whole = sum(share or 0 for _, share in self.splits)
        for name, share in self.splits:
            if by_split[name] == 0 and share is None:
                raise InputError(f"Split {name!r} has no rows: its files hold none.", fix="Give it files with rows.")
            if by_split[name] == 0:
                raise InputError(
                    f"Split {name!r} has no rows: its share is {share:g} of {whole:g}, of {total:,} rows in all.",
                    fix="Give it a larger share, more rows, or a partition_by column with more values. Equal rows are in one split.",
                )


def rows_folder(folder: Path, split: str, as_records: bool) -> Path:  # noqa: FBT001 - of a step's examples_format
    """Where the Parquet files of a split lie: apart from TFRecord files, since TFX reads all that is beside those."""
    return (folder / Examples.beside if as_records else folder) / f"Split-{split}"


def check_rejected(pieces: Iterable[Seen], rows: int, limit: float, *, at_most: bool = False) -> None:
    """Raise ``InputError`` if more than the share ``limit`` of ``rows`` were rejected.

    Parameters
    ----------
    at_most
        True if ``rows`` is an upper bound of rows that are not all read yet.
    """
    known = list(pieces)
    rejected = sum(piece.rejected for piece in known)
    if rejected <= limit * rows:
        return
    first = sorted(row for piece in known for row in piece.first)[:3]
    shown = "; ".join(f"{row.file}:{row.line}: {row.reason}" for row in first)
    share = f"of at most {rows:,} rows" if at_most else f"of {rows:,} rows"
    raise InputError(
        f"{'At least ' if at_most else ''}{rejected:,} {share} cannot be read ({limit:.4%} may). The first: {shown}.",
        fix="Correct them, or raise max_rejected.",
    )


def _by_content(folder: Path, names: Iterable[str]) -> list[str]:
    """Sorted so that the order in which workers came does not show."""
    return sorted(names, key=lambda name: _digest(folder / name))


def _rename(folder: Path, names: Sequence[str], stem: str, suffix: str) -> None:
    """Number the files in this order; others in the folder, that nobody told of, are removed."""
    named = set(names)
    for stray in folder.iterdir():
        if stray.name not in named:
            stray.unlink()
    for index, name in enumerate(names):
        (folder / name).rename(folder / f"{stem}-{index:05d}-of-{len(names):05d}{suffix}")


def _digest(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
