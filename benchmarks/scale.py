"""Measure how the flights chain scales: rows a second against workers and rows, in this process and on embedded Flink.

Every figure is of a process of its own, one after the other. Flink needs Java; ``fluent-pipe runners`` tells.

Examples
--------
Both tables::

    python benchmarks/scale.py --copies 1 3 10
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from ours import STAGES
from run import measured
from usual_way import write_flights

FILES = 8
RUNNERS = {
    "in this process": "direct",
    "in this process, 2 worker processes": "direct --workers=2 --mode=multi_processing",
    "Flink, parallelism 1": "flink --parallelism=1",
    "Flink, parallelism 2": "flink --parallelism=2",
    "Flink, parallelism 2, 2 worker processes": "flink --parallelism=2 --processes=2",
}
DATA = ("read_split", "statistics", "schema", "validate")


def write_files(folder: Path, *, copies: int) -> tuple[str, int]:
    """Flights as several CSV files, as a cluster finds them; their pattern, and the rows in all."""
    whole = folder / "flights.csv"
    rows = write_flights(whole, copies=copies)
    with whole.open("rb") as file:
        head = file.readline()
        parts = [(folder / f"part-{number}.csv").open("wb") for number in range(FILES)]
        for part in parts:
            part.write(head)
        share = -(-rows // FILES)
        for at, line in enumerate(file):
            parts[at // share].write(line)
        for part in parts:
            part.close()
    whole.unlink()
    return str(folder / "part-*.csv"), rows


def scaling(copies: list[int], runners: dict[str, str], folder: Path) -> str:
    """Rows a second of the data steps, as a Markdown table."""
    lines = [
        "### Rows a second, up to preprocess",
        "",
        "| rows | runner | read to validate, s | rows/s | preprocess, s | rows/s | peak of this process, MiB |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for number in copies:
        place = folder / str(number)
        place.mkdir()
        pattern, rows = write_files(place, copies=number)
        for at, (name, runner) in enumerate(runners.items()):
            told = _told(pattern, place / f"root-{at}", runner, until="preprocess")
            data = sum(told[stage] for stage in DATA)
            lines.append(
                f"| {rows:,} | {name} | {data:.1f} | {rows / data:,.0f} | {told['preprocess']:.1f} "
                f"| {rows / told['preprocess']:,.0f} | {told['peak_memory_mb']:,.0f} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)  # it takes minutes
    return "\n".join(lines)


def whole_chain(runners: dict[str, str], folder: Path) -> str:
    """All steps of the short flights chain on each runner, as a Markdown table with the ratio to the first."""
    place = folder / "whole"
    place.mkdir()
    pattern, rows = write_files(place, copies=1)
    told = {name: _told(pattern, place / f"root-{at}", text) for at, (name, text) in enumerate(runners.items())}
    first = next(iter(told.values()))
    lines = [
        f"### The whole chain, {rows:,} rows",
        "",
        "| step, s | " + " | ".join(told) + " |",
        "|---|" + "---:|" * len(told),
        *(
            f"| {stage} | " + " | ".join(f"{t[stage]:.1f}" for t in told.values()) + " |"
            for stage in ("imports", *STAGES)
        ),
        "| **process** | " + " | ".join(f"{t['process']:.1f}" for t in told.values()) + " |",
        "| ratio | " + " | ".join(f"{t['process'] / first['process']:.2f}" for t in told.values()) + " |",
    ]
    return "\n".join(lines)


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _told(pattern: str, root: Path, runner: str, *, until: str = "push_to") -> dict[str, Any]:
    arguments = ("--csv", pattern, "--root", root, "--runner", runner, "--until", until)
    return measured("ours.py", *arguments, figures=root.with_suffix(".json"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 3, 10], help="sizes, in times all flights")
    parser.add_argument("--runners", type=int, nargs="*", default=range(len(RUNNERS)), help="which of the runners")
    asked = parser.parse_args()
    runners = {name: text for at, (name, text) in enumerate(RUNNERS.items()) if at in asked.runners}
    with tempfile.TemporaryDirectory() as folder:
        print(whole_chain(runners, Path(folder)), end="\n\n", flush=True)
        if asked.copies:
            print(scaling(asked.copies, runners, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
