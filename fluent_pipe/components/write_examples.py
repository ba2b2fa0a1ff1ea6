"""Rows of a job into an Examples folder: files that workers write side by side, named and counted in one last step."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from fluent_pipe.arrow.files import Rejected
from fluent_pipe.arrow.parquet import BatchWriter
from fluent_pipe.arrow.predictions import Writer
from fluent_pipe.arrow.tf_example import serialized
from fluent_pipe.arrow.tfrecord_file import RecordFile
from fluent_pipe.artifacts import Examples
from fluent_pipe.components.base import Context
from fluent_pipe.components.staged import Staged
from fluent_pipe.errors import InputError
from fluent_pipe.store.content import of_file

ROWS_PER_FILE = 1 << 20
REJECTED = "rejected"
PARQUET = ".parquet"
RECORDS = ".gz"  # as TFX names TFRecord files, which are gzipped


class Written(NamedTuple):
    """A file that one worker wrote: whose rows, its name in the split's folder, how many rows, and its hash."""

    split: str
    file: str
    rows: int
    digest: str


class HasSchema(Protocol):
    """What says of which schema all batches are."""

    @property
    def schema(self) -> pa.Schema:
        """The schema."""


class Seen(NamedTuple):
    """What one worker saw of one piece: rows read and rejected, the file of those, its hash, the first of them."""

    rows: int
    rejected: int = 0
    file: str = ""
    digest: str = ""
    first: tuple[Rejected, ...] = ()


class WriteFiles(beam.DoFn):  # type: ignore[misc]
    """Writes batches into files of a folder; emits :data:`Written` for each file.

    Files have names of their own, so that a bundle that is tried twice leaves a file that nobody names.

    Parameters
    ----------
    context
        Where the folder is.
    name
        First part of what is emitted.
    folder
        Name of the folder.
    kind
        Writer and ending of a file.
    """

    def __init__(
        self,
        context: Context,
        name: str,
        folder: str,
        kind: tuple[Callable[[Path], Writer], str] = (BatchWriter, ".parquet"),
        *,
        rows_per_file: int = ROWS_PER_FILE,
    ) -> None:
        super().__init__()
        self._context = context
        self._name = name
        self._folder = folder
        self._open, self._ending = kind
        self._rows_per_file = rows_per_file
        self._writer: Writer | None = None
        self._written: list[Written] = []

    def start_bundle(self) -> None:
        self._writer, self._written = None, []

    def process(self, batch: pa.RecordBatch) -> Iterable[Written]:
        """Write a batch; what was written is told at the bundle's end."""
        with self._context.explained():
            if self._writer is not None and self._writer.rows >= self._rows_per_file:
                self._end(self._writer)
            if self._writer is None:
                folder = self._context.folder / self._folder
                self._writer = self._new(folder / f"part-{uuid.uuid4().hex}{self._ending}")
            self._writer.write(batch)
        return ()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        with self._context.explained():
            if self._writer is not None:
                self._end(self._writer)
        for written in self._written:
            yield WindowedValue(written, MIN_TIMESTAMP, [GlobalWindow()])

    def _new(self, path: Path) -> Writer:
        return self._open(path)

    def _end(self, writer: Writer) -> None:
        writer.close()
        digest = of_file(writer.path)
        self._written.append(Written(self._name, writer.path.name, writer.rows, digest))
        self._hand_over(writer, digest)
        self._writer = None

    def _hand_over(self, writer: Writer, digest: str) -> None:
        self._context.deliver(writer.path, digest)


class WriteSplit(WriteFiles):
    """Writes the batches of one split as Parquet, and where asked as ``tf.Example`` too."""

    def __init__(
        self, context: Context, split: str, *, rows_per_file: int = ROWS_PER_FILE, as_records: bool = False
    ) -> None:
        self._records = f"Split-{split}" if as_records else None
        super().__init__(context, split, rows_folder(split, as_records=as_records), rows_per_file=rows_per_file)

    def _new(self, path: Path) -> Writer:
        return (
            BatchWriter(path) if self._records is None else RowsAndRecords(path, self._context.folder / self._records)
        )

    def _hand_over(self, writer: Writer, digest: str) -> None:
        super()._hand_over(writer, digest)
        if isinstance(writer, RowsAndRecords) and self._context.is_remote:
            self._context.deliver(writer.records, of_file(writer.records))


class RowsAndRecords:
    """A Parquet file, and the same rows as ``tf.Example`` in a TFRecord file of that stem.

    Parameters
    ----------
    path
        Of the Parquet file.
    records
        Folder of the other.
    """

    def __init__(self, path: Path, records: Path) -> None:
        self.path = path
        self.records = records / f"{path.stem}{RECORDS}"
        self._rows = BatchWriter(path)
        self._records = RecordFile(self.records)

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self._rows.rows

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._rows.write(batch)
        self._records.write(serialized(batch))

    def close(self) -> None:
        """Finish both files."""
        self._rows.close()
        self._records.close()


def rows_folder(split: str, *, as_records: bool) -> str:
    """Where the Parquet files of a split lie: apart from TFRecord files, since TFX reads all that is beside those."""
    return f"{Examples.beside}/Split-{split}" if as_records else f"Split-{split}"


class RejectedWriter:
    """Writes rejected rows of one piece as lines of JSON; the file is created at the first."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path = context.folder / REJECTED / f"part-{uuid.uuid4().hex}.jsonl"
        self._digest = ""
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

    def close(self) -> None:
        """End the file."""
        if self.count:
            self._digest = of_file(self._path)
            self._context.deliver(self._path, self._digest)

    def seen(self, rows: int) -> Seen:
        """The account of the piece, of which ``rows`` were read."""
        return Seen(rows, self.count, self._path.name if self.count else "", self._digest, tuple(self.first))


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
        Name of a folder in staging that is no longer needed, or None.
    as_records
        Whether each Parquet file has a TFRecord file beside it.
    """

    context: Context
    splits: tuple[tuple[str, float | None], ...]
    max_rejected: float
    spooled: str | None = None
    as_records: bool = False

    def __call__(self, written: Iterable[Written], seen: Iterable[Seen], reader: HasSchema) -> Mapping[str, int]:
        """Finish the folder; rows by split."""
        parts, pieces = [Written(*part) for part in written], [Seen(*piece) for piece in seen]
        rows, rejected = sum(piece.rows for piece in pieces), sum(piece.rejected for piece in pieces)
        check_rejected(pieces, rows + rejected, self.max_rejected)
        by_split = {name: sum(part.rows for part in parts if part.split == name) for name, _ in self.splits}
        self._check_splits(by_split)
        name_rejected(self.context.staged, pieces)
        if self.spooled is not None:
            self.context.staged.remove_folder(self.spooled)
        told = {"rejected": rejected}
        finish_splits(self.context, by_split, parts, reader.schema, told, as_records=self.as_records)
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
                    fix="Give it a larger share, more rows, or a partition_by column with more values. "
                    "Equal rows are in one split.",
                )


def finish_splits(
    context: Context,
    rows: Mapping[str, int],
    written: Sequence[Written],
    schema: pa.Schema,
    more: Mapping[str, Any],
    *,
    as_records: bool = False,
) -> None:
    """Give the files of all splits their names, and write ``examples.json``.

    Parameters
    ----------
    context
        Where they are.
    rows
        By split.
    written
        All files that count.
    schema
        Of all batches.
    more
        Facts besides.
    as_records
        Whether each Parquet file has a TFRecord file beside it.
    """
    for split in rows:
        names = by_content((part.digest, part.file) for part in written if part.split == split)
        name_files(context.staged, rows_folder(split, as_records=as_records), names, "data", PARQUET)
        if as_records:
            same = [f"{Path(name).stem}{RECORDS}" for name in names]
            name_files(context.staged, f"Split-{split}", same, "data_tfrecord", RECORDS)
    facts = {
        "splits": {name: {"rows": count} for name, count in rows.items()},
        "columns": {field.name: str(field.type) for field in schema},
        **more,
    }
    (context.folder / Examples.facts_file).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")


def check_rejected(
    pieces: Iterable[Seen], rows: int, limit: float, *, at_most: bool = False, done: str = "read"
) -> None:
    """Raise ``InputError`` if more than the share ``limit`` of ``rows`` were rejected.

    Parameters
    ----------
    at_most
        True if ``rows`` is an upper bound of rows that are not all read yet.
    done
        What could not be done with them.
    """
    known = list(pieces)
    rejected = sum(piece.rejected for piece in known)
    if rejected <= limit * rows:
        return
    first = sorted(row for piece in known for row in piece.first)[:3]
    shown = "; ".join(f"{row.file}{f':{row.line}' if row.line else ''}: {row.reason}" for row in first)
    share = f"of at most {rows:,} rows" if at_most else f"of {rows:,} rows"
    raise InputError(
        f"{'At least ' if at_most else ''}{rejected:,} {share} cannot be {done} ({limit:.4%} may). The first: {shown}.",
        fix="Correct them, or raise max_rejected.",
    )


def by_content(files: Iterable[tuple[str, str]]) -> list[str]:
    """Files, given as hash and name, sorted so that the order in which workers came does not show."""
    return [name for _, name in sorted(files)]


def name_files(
    staged: Staged, folder: str, names: Sequence[str], stem: str, suffix: str, *, into: str | None = None
) -> list[str]:
    """Number files of a folder in this order and remove all others; the new names.

    A runner may try the last step of a job again: what an attempt before this one has renamed stays.

    Parameters
    ----------
    into
        Another folder that they go to.
    """
    numbered = [f"{stem}-{index:05d}-of-{len(names):05d}{suffix}" for index in range(len(names))]
    target = folder if into is None else into
    there = set(staged.names(folder))
    done = there if into is None else set(staged.names(into))
    staged.remove([f"{folder}/{name}" for name in there.difference(names, numbered)])
    waiting = [(n, new) for n, new in zip(names, numbered, strict=True) if n in there or new not in done]
    staged.move({f"{folder}/{name}": f"{target}/{new}" for name, new in waiting})
    return numbered


def name_rejected(staged: Staged, pieces: Iterable[Seen], *, into: str = REJECTED) -> None:
    """Number the files of rejected rows, as :func:`name_files` does."""
    names = by_content((piece.digest, piece.file) for piece in pieces if piece.file)
    name_files(staged, REJECTED, names, "rows", ".jsonl", into=into)
