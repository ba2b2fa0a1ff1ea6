"""Measure fluent_pipe beside the same libraries wired the usual way, in one run; print tables.

Examples
--------
Both ways at 336,776 rows and at three times that, then our memory at 1x, 3x and 10x::

    python benchmarks/run.py --copies 1 3 --memory 1 3 10
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from usual_way import STAGES, write_flights

HERE = Path(__file__).parent
DATA = ("read_split", "statistics", "schema", "validate")


def measured(script: str, *arguments: object, figures: Path) -> dict[str, Any]:
    """Run a script in a process of its own; its figures."""
    command = [sys.executable, str(HERE / script), *map(str, arguments), "--json", str(figures)]
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    read: dict[str, Any] = json.loads(figures.read_text())
    return read


def compare(copies: int, folder: Path) -> dict[str, Any]:
    """Both ways on the same file, one after the other."""
    csv = folder / "flights.csv"
    rows = write_flights(csv, copies=copies)
    usual = measured("usual_way.py", "--copies", copies, figures=folder / "usual.json")
    ours = measured("ours.py", "--csv", csv, "--root", folder / "root", figures=folder / "ours.json")
    begun = time.perf_counter()
    again = measured("ours.py", "--csv", csv, "--root", folder / "root", figures=folder / "again.json")
    unchanged = time.perf_counter() - begun
    epoch = measured("epoch.py", "--root", folder / "root", figures=folder / "epoch.json")
    return {
        "rows": rows,
        "usual": usual,
        "ours": ours,
        "unchanged": unchanged,
        "loaded": again["loaded"],
        "epoch": epoch,
    }


def table(result: dict[str, Any]) -> str:
    """One comparison as a Markdown table."""
    usual, ours = result["usual"], result["ours"]
    rows = [("stage", "usual way, s", "fluent_pipe, s", "ratio"), ("---", "---:", "---:", "---:")]
    rows += [(s, f"{usual[s]:.1f}", f"{ours[s]:.1f}", _ratio(usual[s], ours[s])) for s in STAGES]
    for name, stages in (("read_split to validate", DATA), ("all but imports", [s for s in STAGES if s != "imports"])):
        one, other = (sum(way[s] for s in stages) for way in (usual, ours))
        rows.append((f"**{name}**", f"{one:.1f}", f"{other:.1f}", _ratio(one, other)))
    memory = usual["peak_memory_mb"], ours["peak_memory_mb"]
    rows.append(("peak memory, MiB", f"{memory[0]:,.0f}", f"{memory[1]:,.0f}", _ratio(*memory)))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    epoch = result["epoch"]
    loaded = ", ".join(result["loaded"]) or "neither TensorFlow, Beam, pandas nor pyarrow"
    again = f"- Unchanged pipeline run again, as a process: {result['unchanged']:.2f} s; it loaded {loaded}."
    one_epoch = (
        f"- Epoch of the default model, {epoch['rows']:,} rows: {epoch['parquet']:.2f} s from Parquet, "
        f"{epoch['memory']:.2f} s from memory: {epoch['ratio']:.2f} times."
    )
    return "\n".join([f"### {result['rows']:,} rows", "", *lines, "", again, one_epoch])


def _ratio(usual: float, ours: float) -> str:
    return f"{usual / ours:.1f}" if ours >= 0.05 else ""


def memory(copies: list[int], folder: Path) -> str:
    """Our peak memory up to preprocess, as a Markdown table."""
    lines = [
        "### Peak memory, from_csv to preprocess",
        "",
        "| rows | peak, MiB | seconds without imports |",
        "|---:|---:|---:|",
    ]
    for number in copies:
        place = folder / str(number)
        place.mkdir()
        rows = write_flights(place / "flights.csv", copies=number)
        told = measured(
            "ours.py",
            "--csv",
            place / "flights.csv",
            "--root",
            place / "root",
            "--until",
            "preprocess",
            figures=place / "m.json",
        )
        seconds = sum(told[s] for s in (*DATA, "preprocess"))
        lines.append(f"| {rows:,} | {told['peak_memory_mb']:,.0f} | {seconds:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 3], help="sizes at which both ways are run")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[1, 3, 10], help="sizes at which our memory is looked at"
    )
    asked = parser.parse_args()
    for copies in asked.copies:
        with tempfile.TemporaryDirectory() as folder:
            print(table(compare(copies, Path(folder))), end="\n\n", flush=True)
    if asked.memory:
        with tempfile.TemporaryDirectory() as folder:
            print(memory(asked.memory, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
