"""Steps that bring rows in. They all leave typed, split examples as Parquet, and as TFRecord where asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from fluent_pipe.artifacts import Examples
from fluent_pipe.steps.base import Pairs, Step

NULL_VALUES = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "#N/A", "None")

ExamplesFormat = Literal["parquet", "tfrecord"]


@dataclass(frozen=True, kw_only=True)
class Source(Step):
    """What all sources share.

    Parameters
    ----------
    splits
        Split names and their shares; any positive numbers, taken relative to their sum. Empty where the split of a
        row is given by its file (``uri`` is a mapping then).
    partition_by
        Column whose value alone decides the split, so that one user's rows stay together. None: the whole row.
    max_rejected
        Share of rows that may fail to parse before the run fails.
    examples_format
        ``"tfrecord"``: the rows also as gzipped TFRecord of ``tf.Example``.
    """

    splits: Pairs = (("train", 8), ("eval", 2))
    partition_by: str | None = None
    max_rejected: float = 0.001
    examples_format: ExamplesFormat = "parquet"

    produces: ClassVar[tuple[type[Examples], ...]] = (Examples,)

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits that it leaves."""
        return tuple(name for name, _ in self.splits)


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """A source that reads files.

    Parameters
    ----------
    patterns
        ``((split or "", (glob or path, ...)), ...)``; with the split ``""`` rows are split by hash.
    """

    patterns: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def split_names(self) -> tuple[str, ...]:
        by_pattern = tuple(split for split, _ in self.patterns if split)
        return by_pattern or super().split_names

    def source_files(self) -> tuple[str, ...]:
        return tuple(p for _, patterns in self.patterns for p in patterns)

    def outside(self) -> tuple[str, ...]:
        return self.source_files()


@dataclass(frozen=True, kw_only=True)
class FromCsv(FileSource):
    """``from_csv``.

    Parameters
    ----------
    delimiter, quote, escape
        Single characters; ``escape`` None means that a doubled quote is a quote.
    column_names
        Names, in order, for files without a header; None: the first line of each file holds them.
    null_values
        Texts that mean "missing".
    types
        Types by column, over the inferred ones: ``"int"``, ``"float"``, ``"string"``, ``"bool"``, ``"date"``,
        ``"timestamp"``.
    encoding
        Of the files.
    block_bytes
        Bytes parsed at once.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    column_names: tuple[str, ...] | None = None
    null_values: tuple[str, ...] = NULL_VALUES
    types: Pairs = ()
    encoding: str = "utf-8"
    block_bytes: int = 4 << 20

    call: ClassVar[str] = "from_csv"


@dataclass(frozen=True, kw_only=True)
class FromParquet(FileSource):
    """``from_parquet``; ``columns`` None means all."""

    columns: tuple[str, ...] | None = None

    call: ClassVar[str] = "from_parquet"


@dataclass(frozen=True, kw_only=True)
class FromTfRecord(FileSource):
    """``from_tfrecord``; ``columns`` None means all."""

    columns: tuple[str, ...] | None = None

    call: ClassVar[str] = "from_tfrecord"


@dataclass(frozen=True)
class InMemory:
    """Rows that the user holds: a pandas DataFrame or an Arrow table, compared by identity."""

    rows: Any = field(repr=False)

    def __hash__(self) -> int:
        return id(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InMemory) and other.rows is self.rows

    def __repr__(self) -> str:
        return f"{type(self.rows).__name__} of {len(self.rows):,} rows"


@dataclass(frozen=True, kw_only=True)
class FromMemory(Source):
    """``from_pandas`` and ``from_arrow``."""

    data: InMemory
    kind: str

    call: ClassVar[str] = "from_memory"


@dataclass(frozen=True)
class Transform:
    """The user's Beam transform, compared by identity. Its code and what it holds make the cache key."""

    transform: Any = field(repr=False)

    def __hash__(self) -> int:
        return id(self.transform)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transform) and other.transform is self.transform

    def __repr__(self) -> str:
        return type(self.transform).__name__


@dataclass(frozen=True, kw_only=True)
class FromBeam(Source):
    """``from_beam``.

    Parameters
    ----------
    rows
        A ``PTransform`` from the pipeline to a ``PCollection`` of rows.
    data_version
        What the user calls the present state of the data behind it; part of the cache key.
    """

    rows: Transform
    data_version: str | None = None

    call: ClassVar[str] = "from_beam"
