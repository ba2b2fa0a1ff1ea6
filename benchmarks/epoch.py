"""An epoch of the default model from Parquet, against the same arrays fed to ``fit`` from memory.

Both are timed in one process, in turn, in fits of several epochs, after a first fit that traces and
warms up; the ratio of the medians counts.

Examples
--------
On the preprocessed flights of a finished run::

    python benchmarks/epoch.py --root results --json epoch.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

EPOCHS = 3


def seconds_of(fit: Any) -> float:
    """Wall seconds of one call."""
    begun = time.perf_counter()
    fit()
    return time.perf_counter() - begun


def main() -> None:
    """Run and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="root of a finished run of the flights example")
    parser.add_argument("--rounds", type=int, default=3, help="timed fits of each way")
    parser.add_argument("--json", type=Path, required=True, help="where to write the figures")
    asked = parser.parse_args()

    import keras_tuner

    from fluent_pipe.artifacts import TransformGraph
    from fluent_pipe.training.data import TrainingData
    from fluent_pipe.training.default_model import build_model

    folder = max((asked.root / "flights" / "preprocess").iterdir())
    data = TrainingData(TransformGraph(folder, "", "preprocess"))
    model = build_model(data, keras_tuner.HyperParameters())
    reader = data.batches("train", batch_size=1024, shuffle_seed=0)
    batches = list(reader.dataset().as_numpy_iterator())
    features = {name: np.concatenate([b[0][name] for b in batches]) for name in batches[0][0]}
    rest = [np.concatenate([b[i] for b in batches]) for i in range(1, len(batches[0]))]

    def memory() -> None:
        weight = rest[1] if len(rest) > 1 else None
        model.fit(features, rest[0], sample_weight=weight, batch_size=1024, epochs=EPOCHS, verbose=0)

    def parquet() -> None:  # as training/fit.py does it
        rows = reader.dataset(passes=EPOCHS)
        model.fit(rows, epochs=EPOCHS, steps_per_epoch=reader.count, verbose=0)

    memory()
    parquet()
    times: dict[str, list[float]] = {"memory": [], "parquet": []}
    for _ in range(asked.rounds):
        times["memory"].append(seconds_of(memory))
        times["parquet"].append(seconds_of(parquet))
    figures = {name: statistics.median(t) / EPOCHS for name, t in times.items()}
    figures["ratio"] = figures["parquet"] / figures["memory"]
    figures["rows"] = len(rest[0])
    asked.json.write_text(json.dumps(figures, indent=1))
    print(figures)


if __name__ == "__main__":
    main()
