"""The chain, run once on each runner, and its results in forms that can be compared."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fluent_pipe as fp
from tests.runners import flights
from tests.runners.places import CLUSTERS, HERE, task_managers_by_vertex

REFERENCE = "direct"
SPLITS = ("train", "eval")
SKETCHED = ("histograms", "median")
"""What TFDV's statistics have from sketches of the rows, and not from all of them."""
SUMMED = ("mean", "std_dev")
"""What depends, in its last digits, on the order that numbers are added up in."""


@dataclass
class Ran:
    """What a runner left.

    Parameters
    ----------
    run
        Of the whole chain, in a root of its own.
    judged
        In a copy of the reference's root: the evaluation and the predictions of the reference's model.
    processes
        Workers that a function of the user's was called in.
    task_managers
        Of a Flink cluster, that got elements, by vertex.
    """

    run: fp.Run
    judged: fp.Run
    processes: set[str]
    task_managers: dict[str, list[str]] = field(default_factory=dict)

    def rows(self, split: str) -> pa.Table:
        """All columns of a split, in the rows' own order."""
        return self.run.examples.table(split).combine_chunks().sort_by("number")

    def statistics(self, split: str) -> dict[str, Any]:
        """By slice and column, without what is sketched."""
        return {key: _exact(stats) for key, stats in self._features(split).items()}

    def quantiles(self, split: str) -> dict[tuple[str, str], Any]:
        """The inner quantiles of numbers by slice and column, over the range of the column."""
        found = {}
        for key, feature in self._features(split).items():
            if feature.HasField("num_stats") and feature.num_stats.max > feature.num_stats.min:
                numbers = feature.num_stats
                buckets = next(h for h in numbers.histograms if h.type == h.QUANTILES).buckets
                edges = np.array([bucket.high_value for bucket in buckets])
                found[key] = (edges - numbers.min) / (numbers.max - numbers.min)
        return found

    def transformed(self, split: str) -> dict[str, Any]:
        """Features in the order of rows, ids as the values that they stand for."""
        table = self.run.transform.artifact.files(split)
        rows = pa.concat_tables([pq.read_table(file) for file in table]).sort_by("number")
        known = self.vocabularies()
        columns = {name: rows.column(name).to_numpy() for name in rows.column_names}
        return {n: np.array([*known[n], "?"])[column] if n in known else column for n, column in columns.items()}

    def vocabularies(self) -> dict[str, list[str]]:
        """Values by their id."""
        assets = self.run.transform.path / "transform_fn/assets"
        return {file.name: file.read_text().splitlines() for file in sorted(assets.iterdir())}

    def metrics(self) -> dict[str, dict[str, float]]:
        """By slice."""
        return {
            row["slice"]: {name: value for name, value in row.items() if isinstance(value, float)}
            for row in self.judged.evaluation.rows()
        }

    def predictions(self) -> tuple[Any, Any]:
        """Numbers of rows, and what is predicted for them."""
        table = self.judged.predictions.table().sort_by("number")
        return table["number"].to_numpy(), table["prediction"].to_numpy()

    def _features(self, split: str) -> dict[tuple[str, str], Any]:
        datasets = self.run.statistics.proto(split).datasets
        return {(dataset.name, feature.path.step[0]): feature for dataset in datasets for feature in dataset.features}


class Results:
    """Runs on demand, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._csv = flights.write(folder / "csv")
        self._ran: dict[str, Ran | BaseException] = {}

    def of(self, name: str) -> Ran:
        """The results on the runner of this name."""
        if name not in self._ran:
            reference = None if name == REFERENCE else self.of(REFERENCE)
            try:
                self._ran[name] = self._run(name, reference)
            except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
                self._ran[name] = error
        ran = self._ran[name]
        if isinstance(ran, BaseException):
            raise ran
        return ran

    def _run(self, name: str, reference: Ran | None) -> Ran:
        folder = self._folder / name.replace(" ", "_")
        marks = folder / "marks"
        marks.mkdir(parents=True)
        chain = flights.judged(flights.trained(folder / "root", self._csv, marks))
        # The same expression with the same marks is what the reference's root has cached.
        same = flights.judged(flights.trained(folder / "judged", self._csv, self._folder / REFERENCE / "marks"))
        with {**HERE, **CLUSTERS}[name](folder / "cluster") as runner:
            run = chain.push_to(folder / "serving").run(runner, progress=False)
            shutil.copytree(self._folder / REFERENCE / "root", folder / "judged")
            scored = same.bulk_infer(self._csv, to=folder / "scored", keep=["number"])
            judged = scored.run(runner, refresh="evaluate", progress=False)
            managers = task_managers_by_vertex(runner.master) if name == "flink cluster" else {}
            return Ran(run, judged, {mark.name for mark in marks.iterdir()}, managers)


def _exact(feature: Any) -> Any:
    exact = type(feature)()
    exact.CopyFrom(feature)
    if exact.HasField("num_stats"):
        for name in SKETCHED:
            exact.num_stats.ClearField(name)
        for name in SUMMED:
            setattr(exact.num_stats, name, float(f"{getattr(exact.num_stats, name):.10g}"))
    return str(exact)
