"""What a search costs beside as many trainings: the same hyperparameters, seed and epochs, on 2,000 small trips.

Trainings also export their models, so what they spend on fitting alone is told apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import fluent_pipe as fp

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests import trips


def measure(trials: int, parallel: int, folder: Path) -> None:
    """Search, then train with what each trial had; prints seconds."""
    csv = trips.write(folder / "trips.csv", trips.rows())
    ready = (
        fp.Pipeline("trips", root=folder / "root")
        .from_csv(csv)
        .generate_statistics()
        .infer_schema()
        .preprocess(label="tipped")
    )
    ready.train(epochs=1, batch_size=64, seed=1).run(progress=False)  # what is slow the first time in a process
    cpu = time.process_time()
    run = ready.tune(objective="val_auc", trials=trials, parallel=parallel, epochs=2, batch_size=64).run(progress=False)
    cpu = time.process_time() - cpu
    inside = sum(trial["seconds"] for trial in run.trials.rows())
    print(
        f"tune, {trials} trials: {run.timings['tune']:.1f} s, {inside:.1f} s of them in trials; processors {cpu:.1f} s"
    )
    steps = fitting = 0.0
    cpu = time.process_time()
    for trial in run.trials.artifact.facts()["trials"]:
        file = folder / f"{trial['id']}.txt"
        file.write_text(json.dumps({"space": [], "values": trial["hyperparameters"]}))
        trained = ready.with_hyperparameters(file).train(epochs=2, batch_size=64).run(progress=False)
        steps += trained.timings["train"]
        fitting += trained.model.artifact.facts()["seconds"]
    cpu = time.process_time() - cpu
    print(f"{trials} trainings:     {steps:.1f} s, {fitting:.1f} s of them in fit; processors {cpu:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--parallel", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(asked.trials, asked.parallel, Path(temporary))
