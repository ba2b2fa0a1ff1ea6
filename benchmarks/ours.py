"""The flights example, measured: seconds a step and peak memory, as JSON.

Examples
--------
On a CSV of flights, with results under a folder::

    python benchmarks/ours.py --csv flights.csv --root results --json ours.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

BEGUN = time.perf_counter()

from fluent_pipe.loading import example, load  # noqa: E402 - the clock starts before the first import
from fluent_pipe.pipeline import Pipeline  # noqa: E402
from fluent_pipe.steps.model import Evaluate  # noqa: E402

METRICS = ("ExampleCount", "AUC", "BinaryAccuracy", "Precision", "Recall")
STAGES = {
    "read_split": "from_csv",
    "statistics": "generate_statistics",
    "schema": "infer_schema",
    "validate": "validate",
    "preprocess": "preprocess",
    "train": "train",
    "evaluate": "evaluate",
}


def flights(csv: str | Path, root: Path, *, until: str = "push_to", epochs: int = 1) -> Pipeline:
    """The example on ``csv``, up to a step, with the metrics that the opponent computes."""
    settings = {"FLIGHTS": str(csv), "EPOCHS": epochs, "SERVING": str(root / "serving")}
    pipeline = load(f"{example('flights/pipeline.py')}:short", settings, root)
    steps = [replace(s, metrics=METRICS) if isinstance(s, Evaluate) else s for s in pipeline.steps]
    last = [s.id for s in steps].index(until)
    return replace(pipeline, steps=tuple(steps[: last + 1]))


def main() -> None:
    """Run and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", required=True, help="flights, as CSV; a pattern of files too")
    parser.add_argument("--root", type=Path, required=True, help="folder of all results")
    parser.add_argument("--until", default="push_to", help="the last step to run")
    parser.add_argument("--runner", help="a name and its flags, as for `fluent-pipe run --runner`")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    asked = parser.parse_args()
    run = flights(asked.csv, asked.root.absolute(), until=asked.until).run(asked.runner)
    seconds = {stage: run.timings[step] for stage, step in STAGES.items() if step in run.timings.steps_run}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    heavy = [m for m in ("tensorflow", "apache_beam", "pandas", "pyarrow") if m in sys.modules]
    figures = {
        "imports": run.timings.loading,
        **seconds,
        "peak_memory_mb": peak,
        "process": time.perf_counter() - BEGUN,
        "loaded": heavy,
        "rows": sum(r["rows"] for r in run.examples.rows()),
    }
    asked.json.write_text(json.dumps(figures, indent=1))
    sys.stdout.flush()
    os._exit(0)  # TensorFlow and Beam take seconds to tear down; the figures are written


if __name__ == "__main__":
    main()
