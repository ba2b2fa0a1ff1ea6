"""The data steps on a standalone Spark, whose workers start anew between stages: minutes, so run by hand."""

from __future__ import annotations

import pytest

from tests.runners import flights
from tests.runners.places import standalone_spark


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_rows_statistics_and_features_are_those_of_this_process(tmp_path):
    csv = flights.write(tmp_path / "csv")
    marks = {name: tmp_path / f"{name}-marks" for name in ("here", "there")}
    for folder in marks.values():
        folder.mkdir()
    here = flights.prepared(tmp_path / "here", csv, marks["here"]).run(progress=False)
    with standalone_spark(tmp_path / "cluster") as runner:
        there = flights.prepared(tmp_path / "there", csv, marks["there"]).run(runner, progress=False)

    assert len(list(marks["there"].iterdir())) > 1, "one process filtered all rows"
    for split in ("train", "eval"):
        rows, same = (run.examples.table(split).combine_chunks().sort_by("number") for run in (there, here))
        assert rows.equals(same)
    assert there.schema.proto() == here.schema.proto()
    assert there.anomalies.rows() == here.anomalies.rows()
    assert there.transform.artifact.facts() == here.transform.artifact.facts()
