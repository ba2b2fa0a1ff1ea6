"""validate(): anomalies are found, drift and skew fire, and every distance is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.artifacts import Examples, Schema, Statistics
from fluent_pipe.components.generate_statistics import GenerateStatistics, stats_options
from fluent_pipe.components.inputs import SchemaInput, StatisticsInput
from fluent_pipe.components.schema import InferSchema, infer
from fluent_pipe.components.validate import Validate
from fluent_pipe.errors import InputError
from fluent_pipe.steps import data
from fluent_pipe.steps.base import Ref, pairs
from fluent_pipe.steps.limits import Distance, infinity_norm, jensen_shannon
from tests.beam_jobs import context, examples, job, run

Limits = Mapping[str, Distance]


def rows(seed: int, *, fare: float = 0.0, often: str = "UA") -> pa.Table:
    """1,000 rows; ``fare`` shifts a number, ``often`` is the usual category."""
    random = np.random.default_rng(seed)
    others = [carrier for carrier in ("UA", "AA", "B6") if carrier != often]
    return pa.table(
        {
            "fare": random.normal(10.0 + fare, 2.0, 1_000),
            "month": random.integers(1, 13, 1_000),
            "carrier": random.choice([often, *others], 1_000, p=[0.8, 0.1, 0.1]),
        }
    )


def keep_statistics(folder: Path, **splits: pa.Table) -> Path:
    """A Statistics artifact of these rows, without a job."""
    for split, table in splits.items():
        statistics = stats_impl.generate_statistics_in_memory(
            to_tfx(table.combine_chunks().to_batches()[0]), stats_options({})
        )
        (folder / f"Split-{split}").mkdir(parents=True)
        (folder / f"Split-{split}" / "FeatureStats.pb").write_bytes(statistics.SerializeToString())
    return folder


def schema_for(*tables: pa.Table) -> schema_pb2.Schema:
    statistics = [tfdv.generate_statistics_from_dataframe(table.to_pandas()) for table in tables]
    return infer(statistics, shape=True, max_domain=100)


def validate(
    folder: Path,
    schema: schema_pb2.Schema | None = None,
    drift: Limits | None = None,
    skew: Limits | None = None,
    against: Path | None = None,
    **splits: pa.Table,
) -> dict[str, Any]:
    statistics = keep_statistics(folder / "statistics", **splits)
    (folder / "schema").mkdir()
    tfdv.write_schema_text(schema or schema_for(*splits.values()), str(folder / "schema" / "schema.pbtxt"))
    step = data.Validate(
        id="validate", statistics=Ref("statistics", Statistics), schema=Ref("schema", Schema),
        split_names=tuple(splits), drift=pairs(drift), skew=pairs(skew),
    )  # fmt: skip
    component = Validate(
        step,
        context(folder, "validate"),
        StatisticsInput("statistics", artifact=Statistics(statistics, fingerprint="", step="statistics")),
        SchemaInput("schema", artifact=Schema(folder / "schema", fingerprint="", step="schema")),
        against,
    )
    facts: dict[str, Any] = json.loads((run(component) / "anomalies.json").read_text())
    return facts


def measured(facts: dict[str, Any], kind: str) -> dict[tuple[str, str], float]:
    return {(entry["split"], entry["column"]): entry["value"] for entry in facts["drift"] if entry["kind"] == kind}


def found(facts: dict[str, Any]) -> set[tuple[str, str]]:
    return {(entry["split"], entry["column"]) for entry in facts["anomalies"]}


def test_rows_that_fit_their_schema_pass(tmp_path: Path) -> None:
    facts = validate(tmp_path, train=rows(0), eval=rows(1))
    assert facts == {"anomalies": [], "drift": [], "baseline": None, "notes": [], "passed": True}


def test_a_value_that_a_fixed_schema_does_not_know_is_an_anomaly_with_its_rows(tmp_path: Path) -> None:
    later = rows(1).to_pandas()
    later.loc[:29, "carrier"] = "WN"
    later["extra"] = 1.0
    facts = validate(tmp_path, schema_for(rows(0)), train=rows(0), eval=pa.Table.from_pandas(later))
    assert not facts["passed"]
    anomalies = {entry["column"]: entry for entry in facts["anomalies"]}
    assert anomalies.keys() == {"carrier", "extra"}
    carrier = anomalies["carrier"]
    assert (carrier["split"], carrier["anomaly"], carrier["count"]) == ("eval", "Unexpected string values", 30)
    assert "WN" in carrier["detail"]
    assert anomalies["extra"]["count"] == 1_000
    stored = anomalies_pb2.Anomalies.FromString((tmp_path / "validate" / "Split-eval" / "SchemaDiff.pb").read_bytes())
    assert set(stored.anomaly_info) == {"carrier", "extra"}
    assert (tmp_path / "validate" / "Split-train" / "SchemaDiff.pb").exists()


def test_missing_values_and_missing_columns_are_anomalies(tmp_path: Path) -> None:
    later = pa.table({"fare": pa.array([1.0, None, 3.0, None]), "carrier": ["UA"] * 4})
    facts = validate(tmp_path, schema_for(rows(0)), train=later)
    assert {entry["column"] for entry in facts["anomalies"]} == {"fare", "month"}
    assert 2 in [entry["count"] for entry in facts["anomalies"] if entry["column"] == "fare"]


@pytest.mark.parametrize(
    ("column", "limit", "changed"),
    [
        ("fare", jensen_shannon(0.1), {"fare": 4.0}),
        ("carrier", jensen_shannon(0.1), {"often": "B6"}),
        ("carrier", infinity_norm(0.1), {"often": "B6"}),
    ],
)
def test_drift_fires_on_the_column_that_shifted(
    tmp_path: Path, column: str, limit: Distance, changed: dict[str, Any]
) -> None:
    against = keep_statistics(tmp_path / "earlier", train=rows(0), eval=rows(1))
    facts = validate(
        tmp_path / "now", drift={column: limit}, against=against, train=rows(2, **changed), eval=rows(3)
    )  # fmt: skip
    assert found(facts) == {("train", column)}
    (entry,) = facts["anomalies"]
    assert "this and the earlier run" in entry["detail"]
    values = measured(facts, "drift")
    assert values.keys() == {("train", column), ("eval", column)}
    assert values["eval", column] < 0.1 < values["train", column]
    assert {e["measure"] for e in facts["drift"]} == {limit.measure}
    assert facts["baseline"] == str(against)
    assert not facts["passed"]


def test_skew_fires_between_the_first_split_and_another(tmp_path: Path) -> None:
    limits = {"fare": jensen_shannon(0.1), "carrier": infinity_norm(0.1)}
    facts = validate(tmp_path, skew=limits, train=rows(0), eval=rows(1), test=rows(2, fare=5.0, often="AA"))
    assert found(facts) == {("test", "fare"), ("test", "carrier")}
    assert measured(facts, "skew").keys() == {(s, c) for s in ("eval", "test") for c in ("fare", "carrier")}
    assert all("splits 'train' and 'test'" in entry["detail"] for entry in facts["anomalies"])


def test_below_their_limits_distances_are_told_and_quiet(tmp_path: Path) -> None:
    against = keep_statistics(tmp_path / "earlier", train=rows(0), eval=rows(1))
    limits = {"*": jensen_shannon(0.2)}
    facts = validate(tmp_path / "now", drift=limits, skew=limits, against=against, train=rows(2), eval=rows(3))
    assert facts["passed"]
    assert facts["notes"] == []
    assert len(measured(facts, "drift")) == 6
    assert len(measured(facts, "skew")) == 3
    assert all(0 <= entry["value"] < entry["threshold"] == 0.2 for entry in facts["drift"])


def test_a_star_is_every_column_that_the_measure_suits(tmp_path: Path) -> None:
    limits = {"*": infinity_norm(0.3), "fare": jensen_shannon(0.15)}
    facts = validate(tmp_path, skew=limits, train=rows(0), eval=rows(1))
    assert {e["column"]: e["measure"] for e in facts["drift"]} == {
        "carrier": "infinity_norm",
        "fare": "jensen_shannon_divergence",
    }


def test_what_could_not_be_compared_is_said(tmp_path: Path) -> None:
    first = validate(tmp_path / "first", drift={"*": jensen_shannon(0.1)}, train=rows(0))
    assert first["baseline"] is None
    assert "no earlier run" in first["notes"][0]
    against = keep_statistics(tmp_path / "earlier", train=rows(0).drop(["month"]))
    limits = {"month": jensen_shannon(0.1)}
    facts = validate(tmp_path / "now", drift=limits, against=against, train=rows(1), eval=rows(2))
    assert any("'eval'" in note for note in facts["notes"])
    assert any("month" in note for note in facts["notes"]) or found(facts) == {("train", "month")}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"far": jensen_shannon(0.1)}, "validate\\(drift=\\): there is no column 'far'.*Did you mean 'fare'"),
        ({"month": infinity_norm(0.1)}, "'month' holds numbers.*jensen_shannon"),
    ],
)
def test_a_limit_that_cannot_be_measured_is_an_error(tmp_path: Path, limits: Limits, message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(tmp_path, drift=limits, train=rows(0))


def test_a_folder_without_statistics_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no statistics of train"):
        validate(tmp_path, drift={"fare": jensen_shannon(0.1)}, against=tmp_path / "nothing", train=rows(0))


def test_rows_to_anomalies_is_one_job(tmp_path: Path) -> None:
    splits = {"train": rows(0), "eval": rows(1, fare=6.0)}
    first = data.GenerateStatistics(
        id="statistics", examples=Ref("s", Examples), split_names=tuple(splits), slices=(("carrier",),)
    )
    second = data.InferSchema(id="schema", statistics=Ref("statistics", Statistics), split="train")
    third = data.Validate(
        id="validate", statistics=Ref("statistics", Statistics), schema=Ref("schema", Schema),
        split_names=tuple(splits), skew=(("fare", jensen_shannon(0.1)),),
    )  # fmt: skip
    one, two, three = (context(tmp_path, name) for name in ("statistics", "schema", "validate"))
    with job(one, two, three) as pipeline:
        statistics = GenerateStatistics(first, one, examples(tmp_path / "examples", **splits)).build(pipeline)
        schema = InferSchema(second, two, StatisticsInput("statistics", live=statistics)).build(pipeline)
        inputs = StatisticsInput("statistics", live=statistics), SchemaInput("schema", live=schema)
        assert Validate(third, three, *inputs, None).build(pipeline) == {}
    facts = json.loads((tmp_path / "validate" / "anomalies.json").read_text())
    assert found(facts) == {("eval", "fare")}


def test_what_a_star_leaves_out_is_said_and_what_is_named_is_compared(tmp_path: Path) -> None:
    numbered = [rows(seed).append_column("id", pa.array([f"{seed}-{i}" for i in range(1_000)])) for seed in (0, 1)]
    train, test = numbered
    facts = validate(tmp_path / "star", skew={"*": jensen_shannon(0.1)}, train=train, eval=test)
    assert measured(facts, "skew").keys() == {("eval", column) for column in ("fare", "month", "carrier")}
    (note,) = facts["notes"]
    assert "'id' in split 'eval' was left out of \"*\": 1,000 different values in 1,000. Name the column" in note
    limits = {"*": jensen_shannon(0.1), "id": jensen_shannon(0.1)}
    facts = validate(tmp_path / "named", skew=limits, train=train, eval=test)
    assert measured(facts, "skew")["eval", "id"] == pytest.approx(1.0)
    assert ("eval", "id") in found(facts)
    assert facts["notes"] == []


def test_drift_and_skew_of_a_column_are_told_together_with_its_other_anomalies(tmp_path: Path) -> None:
    against = keep_statistics(tmp_path / "earlier", train=rows(0), eval=rows(1))
    later = rows(2, fare=5.0).to_pandas()
    later.loc[:9, "fare"] = np.nan
    splits = {"train": rows(3), "eval": pa.Table.from_pandas(later)}
    limits = {"fare": jensen_shannon(0.1)}
    facts = validate(tmp_path / "now", schema_for(rows(0)), limits, limits, against, **splits)
    reasons = [entry["anomaly"] for entry in facts["anomalies"] if entry["column"] == "fare"]
    assert len(reasons) == 4
    stored = anomalies_pb2.Anomalies.FromString(
        (tmp_path / "now" / "validate" / "Split-eval" / "SchemaDiff.pb").read_bytes()
    )
    assert len(stored.anomaly_info["fare"].reason) == 4
    assert stored.anomaly_info["fare"].short_description == "Multiple errors"


def test_limits_of_the_schema_itself_fire_without_being_asked_for(tmp_path: Path) -> None:
    schema = schema_for(rows(1))
    next(f for f in schema.feature if f.name == "fare").drift_comparator.jensen_shannon_divergence.threshold = 0.1
    earlier = keep_statistics(tmp_path / "earlier", train=rows(1))
    found = validate(tmp_path / "now", schema, against=earlier, train=rows(2, fare=8.0))
    assert [a["column"] for a in found["anomalies"]] == ["fare"]
    assert found["drift"][0]["threshold"] == 0.1
