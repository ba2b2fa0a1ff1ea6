"""What changed between two runs."""

from __future__ import annotations

import json

import pytest

from fluent_pipe.artifacts import Examples
from fluent_pipe.display.charts import inline
from fluent_pipe.report.changes import Changes, change_mark
from fluent_pipe.report.distances import CATEGORIES, NUMBERS, distances
from fluent_pipe.report.past import PastRun
from fluent_pipe.store.metadata import MetadataStore
from tests.report.made_up import HOSTILE, Past, statistics


def asked(**arguments: str) -> dict[str, str]:
    """What is recorded of the arguments of a pipeline of two steps."""
    steps = {"from_csv": {"arguments": {}, "inputs": []}, "train": {"arguments": arguments, "inputs": ["from_csv"]}}
    return {"asked": json.dumps(steps)}


def test_metrics_overall_and_by_slice_with_their_difference(store: MetadataStore) -> None:
    before, after = Past(store).model(auc=0.70).ended(), Past(store).model(auc=0.75).ended()
    changes = Changes.between(before, after)
    auc = {r["slice"]: r for r in changes.metrics if r["metric"] == "auc"}
    assert auc["overall"]["change"] == pytest.approx(0.05)
    assert auc["overall"]["better"] is True
    assert auc["overall"]["certain"] is None
    assert set(auc) == {"overall", "carrier=carrier", "carrier=AA"}
    loss = next(r for r in changes.metrics if r["metric"] == "loss")
    assert (loss["change"] < 0, loss["better"]) == (True, True)
    assert next(r for r in changes.metrics if r["metric"] == "calibration")["change"] is None
    assert "+0.05 better" in str(changes.drawn(inline))


@pytest.mark.parametrize(("interval", "certain"), [(0.01, True), (0.1, False)])
def test_a_difference_is_certain_if_the_intervals_do_not_meet(
    store: MetadataStore, interval: float, certain: bool
) -> None:
    before, after = (Past(store).model(auc=auc, interval=interval).ended() for auc in (0.70, 0.75))
    row = next(r for r in Changes.between(before, after).metrics if r["metric"] == "auc")
    assert row["certain"] is certain


def test_data_that_drifted(store: MetadataStore) -> None:
    before = Past(store).data(mean=10.0, values={"AA": 900, "UA": 100}).ended()
    after = Past(store).data(rows=2000, mean=14.0, values={"AA": 1000, "DL": 1000}).ended()
    changes = Changes.between(before, after)
    drift = {r["column"]: r for r in changes.drift}
    assert drift["carrier"]["distance"] == pytest.approx(0.5)
    assert drift["carrier"]["measure"] == CATEGORIES
    assert drift["miles"]["distance"] > 0.2 > drift["miles"]["by chance"]
    assert changes.row_counts == [{"split": "train", "before": 1000, "after": 2000}]
    assert changes.schema == [
        {"column": "carrier", "what": "values", "before": "gone: UA", "after": "new: DL"},
    ]
    assert list(changes.tables()) == ["Data: columns that moved", "Schema", "Rows", "Steps with another result"]


def test_the_same_data_did_not_drift() -> None:
    one, other = (statistics("carrier", rows, 10.0, {"AA": rows}).datasets[0] for rows in (500, 5000))
    found = list(distances(one, other))
    assert [(d["column"], d["measure"]) for d in found] == [("carrier", CATEGORIES), ("miles", NUMBERS)]
    assert all(d["distance"] < 1e-9 < d["by chance"] for d in found)


def test_a_column_that_is_new_empty_or_of_another_kind_has_no_distance() -> None:
    one = statistics("carrier", 100, 10.0, {"AA": 100}).datasets[0]
    assert [d["column"] for d in distances(one, statistics("other", 100, 10.0, {"AA": 100}).datasets[0])] == ["miles"]
    empty = statistics("carrier", 0, 10.0, {}).datasets[0]
    assert list(distances(one, empty)) == []


def test_arguments_hyperparameters_and_why_a_step_was_done_anew(store: MetadataStore) -> None:
    before, after = Past(store, asked(epochs="1")), Past(store, asked(epochs="2"))
    for past, units in ((before, 96), (after, 128)):
        past.left("from_csv", key="same", fingerprint="same")
        past.model(units=units)
    changes = Changes.between(before.ended(), after.ended())
    assert changes.tables()["Arguments"] == [{"step": "train", "argument": "epochs", "before": "1", "after": "2"}]
    assert changes.tables()["Hyperparameters"] == [{"hyperparameter": "units", "before": 96, "after": 128}]
    why = {r["step"]: r["why"] for r in changes.steps}
    assert why["from_csv"] == ""
    assert why["train"] == "its arguments changed"
    assert why["evaluate"] == "something that it depends on changed"


def test_a_step_whose_arguments_and_inputs_are_the_same_has_other_code(store: MetadataStore) -> None:
    runs = []
    for source in ("same", "same", "other"):
        past = Past(store, asked(epochs="1"))
        past.left("from_csv", Examples, key=source, fingerprint=source)
        past.left("train")
        runs.append(past.ended())
    why = [{r["step"]: r["why"] for r in Changes.between(*pair).steps} for pair in (runs[:2], runs[1:])]
    assert why[0]["train"] == "its code, its files or what it compares with changed"
    assert why[1]["train"] == "from_csv changed"


def test_nothing_changed(store: MetadataStore) -> None:
    run = Past(store, asked(epochs="1")).data().model().ended()
    changes = Changes.between(run, run)
    assert changes.tables() == {}
    assert repr(changes) == f"nothing changed since run {run.stored.id}"
    assert "Nothing: the results are those of run" in changes.drawn(inline)


def test_versions_commit_and_state(store: MetadataStore) -> None:
    said = [{"versions": json.dumps({"keras": v}), "commit": c} for v, c in (("3.0", "abc"), ("3.1", "def-dirty"))]
    before, after = Past(store, said[0]).ended(), Past(store, said[1]).ended("not pushed")
    tables = Changes.between(before, after).tables()
    assert tables["Versions"] == [{"package": "keras", "before": "3.0", "after": "3.1"}]
    assert [r["what"] for r in tables["Circumstances"]] == ["state", "commit"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text(store: MetadataStore, name: str) -> None:
    said = {"asked": json.dumps({name: {"arguments": {}, "inputs": []}}), "commit": name}
    before = Past(store, asked(epochs="1")).data().model().ended()
    after = Past(store, said, name=name).data(mean=20).model(auc=0.5).ended()
    drawn = str(Changes.between(before, after).drawn(inline))
    assert "<script" not in drawn
    assert "<img" not in drawn
    assert "onload=alert(1)>" not in drawn


def test_what_cannot_be_read_is_left_out(store: MetadataStore) -> None:
    before, after = (Past(store).data(mean=mean).model(auc=mean / 100).ended() for mean in (10.0, 30.0))
    for file in store.root.rglob("FeatureStats.pb"):
        file.write_bytes(b"no proto")
    changes = Changes.between(before, after)
    assert changes.drift == []
    assert changes.metrics


@pytest.mark.parametrize(
    ("change", "better", "text"),
    [(0.25, True, "+0.25 better"), (-0.5, False, "−0.5 worse"), (2, None, "+2"), (0.0, None, "±0")],
)
def test_a_change_has_a_sign_and_a_word(change: float, better: bool | None, text: str) -> None:
    assert change_mark(change, better=better).striptags() == text


def test_the_run_to_compare_with_is_the_last_that_did_not_fail(store: MetadataStore) -> None:
    first = Past(store).data().ended()
    failed = Past(store).failed("from_csv", "no file")
    stopped = Past(store).ended("interrupted")
    last = Past(store).data().ended()
    assert PastRun.before(store, first.stored) is None
    for run in (failed, stopped, last):
        before = PastRun.before(store, run.stored)
        assert before is not None
        assert before.stored.id == first.stored.id
