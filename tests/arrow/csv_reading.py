"""Reading CSV files whole, as the component does over workers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from fluent_pipe.arrow.csv import CsvFormat, TypesTooNarrow
from fluent_pipe.arrow.csv_survey import guess, scan, share
from fluent_pipe.arrow.files import Rejected, list_pieces

PLAIN = CsvFormat()


def read(
    pattern: Path | str,
    form: CsvFormat = PLAIN,
    types: Mapping[str, str] | None = None,
    range_bytes: int = 64 << 20,
) -> tuple[pa.Table, list[Rejected]]:
    """All rows in order, and the rejected ones."""
    files = list_pieces((("", (str(pattern),)),))
    reader, pieces = guess(form, files, types or {}), share(form, files, range_bytes)
    try:
        parts = [part for piece in pieces for part in reader.read(piece)]
    except TypesTooNarrow:
        reader = scan(reader, pieces)
        parts = [part for piece in pieces for part in reader.read(piece)]
    batches = [part for part in parts if isinstance(part, pa.RecordBatch)]
    assert all(batch.schema == reader.schema for batch in batches)
    return pa.Table.from_batches(batches, reader.schema), [part for part in parts if isinstance(part, Rejected)]
