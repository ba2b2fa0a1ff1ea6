"""Sliced evaluation of the flights model on every row: ours beside stock TFMA, and ours as rows and slices grow.

Both judge the same rows with the same exported model in the same Beam job; what differs is the evaluator alone: whole
batches, or rows through ``tfma.evaluators.MetricsPlotsAndValidationsEvaluator``.

Examples
--------
Against stock TFMA at 336,776 rows, then ours at ten times as many::

    python benchmarks/evaluation.py --stock 1 --copies 1 3 10
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

METRICS = ("ExampleCount", "AUC", "BinaryAccuracy", "Precision", "Recall", "Calibration")
SLICES = (("carrier",), ("origin", "month"))
MODES = ("ours", "intervals", "auto", "stock")


def trained(csv: Path, root: Path) -> Any:
    """A run of the flights example, up to the model."""
    from ours import flights

    return flights(csv, root, until="train").run(progress=False)


def evaluate(csv: Path, root: Path, mode: str) -> dict[str, float]:
    """Evaluate on all rows of ``csv`` with the model under ``root``; seconds without imports, and peak memory."""
    import fluent_pipe as fp
    from fluent_pipe.components import evaluate as component
    from fluent_pipe.components.base import Context
    from fluent_pipe.components.inputs import ExamplesInput, Input, SchemaInput, TransformGraphInput
    from fluent_pipe.runners.direct import Direct
    from fluent_pipe.steps.base import Ref
    from fluent_pipe.steps.model import Evaluate

    run = trained(csv, root)
    rows = fp.Pipeline("all-rows", root=root).from_csv(csv, splits={"all": 1}).run(progress=False).examples.artifact
    if mode == "stock":
        from stock_evaluator import stock_evaluator

        component.evaluator = stock_evaluator
    names = ("model", "graph", "examples", "schema")
    refs: Any = {name: Ref(name, object) for name in names}
    step = Evaluate(
        id="evaluate",
        **refs,
        metrics=METRICS,
        slices=() if mode == "auto" else SLICES,
        depth=2 if mode == "auto" else None,
        confidence_intervals=mode == "intervals",
        split="all",
    )
    inputs = (
        Input("model", artifact=run.model.artifact),
        TransformGraphInput("graph", artifact=run.transform.artifact),
        ExamplesInput("examples", artifact=rows),
        SchemaInput("schema", artifact=run.schema.artifact),
    )
    with tempfile.TemporaryDirectory() as staging:
        work = component.Evaluate(step, Context("evaluate", staging), *inputs, None)
        begun = time.perf_counter()
        work.prepare()
        Direct().run(lambda pipeline: work.build(pipeline))
        seconds = time.perf_counter() - begun
        slices = len(json.loads((Path(staging) / "metrics.json").read_text())["slices"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counted = sum(r["rows"] for r in rows.facts()["splits"].values())
    return {"rows": counted, "slices": slices, "seconds": seconds, "peak_memory_mb": peak}


def measured(csv: Path, root: Path, mode: str) -> dict[str, float]:
    """:func:`evaluate` in a process of its own."""
    figures = root / f"{mode}.json"
    command = [sys.executable, __file__, "--csv", csv, "--root", root, "--mode", mode, "--json", figures]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(list(map(str, command)), check=True, stderr=subprocess.DEVNULL, env=quiet)
    read: dict[str, float] = json.loads(figures.read_text())
    return read


def main() -> None:
    """Measure and print, or be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 3, 10], help="sizes at which ours is run")
    parser.add_argument("--stock", type=int, nargs="*", default=[1], help="sizes at which stock TFMA is run too")
    for hidden in ("--csv", "--root", "--json"):
        parser.add_argument(hidden, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.mode:
        asked.json.write_text(json.dumps(evaluate(asked.csv, asked.root, asked.mode)))
        sys.stdout.flush()
        os._exit(0)
    from usual_way import write_flights

    print("| rows | evaluator | slices | seconds | peak, MiB |\n|---:|---|---:|---:|---:|")
    for copies in asked.copies:
        with tempfile.TemporaryDirectory() as folder:
            csv, root = Path(folder, "flights.csv"), Path(folder, "root")
            root.mkdir()
            write_flights(csv, copies=copies)
            for mode in MODES:
                if mode != "stock" or copies in asked.stock:
                    found = measured(csv, root, mode)
                    print(
                        f"| {found['rows']:,} | {mode} | {found['slices']} | {found['seconds']:.1f} "
                        f"| {found['peak_memory_mb']:,.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
