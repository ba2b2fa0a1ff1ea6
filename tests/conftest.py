"""Fixtures that many tests share. A whole chain takes half a minute, so one finished run serves all that look at it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

import fluent_pipe as fp
from tests import trips

# CI draws the same examples each time, so that what fails there fails here; elsewhere new ones are tried.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@dataclass(frozen=True)
class Finished:
    """A chain that has run from CSV to a pushed model."""

    pipeline: fp.Pipeline
    run: fp.Run
    csv: Path
    serving: Path


def chain(root: Path, csv: Path, serving: Path) -> fp.Pipeline:
    """The whole expression on trips, with every default."""
    return (
        fp.Pipeline("trips", root=root)
        .from_csv(csv)
        .generate_statistics()
        .infer_schema()
        .validate(drift=fp.jensen_shannon(0.2))
        .preprocess(label="tipped")
        .train(epochs=2, batch_size=64)
        .evaluate(slices=["city", ["city", "hour"]], require={"auc": fp.at_least(0.55)})
        .push_to(serving)
    )


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Finished:
    """One finished run; look, do not change."""
    folder = tmp_path_factory.mktemp("finished")
    csv = trips.write(folder / "trips.csv", trips.rows())
    pipeline = chain(folder / "root", csv, folder / "serving")
    return Finished(pipeline, pipeline.run(progress=False), csv, folder / "serving")
