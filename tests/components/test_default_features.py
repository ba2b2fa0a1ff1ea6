"""Features that ``preprocess`` chooses when it is given no function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from fluent_pipe.artifacts import TransformGraph
from fluent_pipe.components.column_facts import ColumnFacts, column_facts
from fluent_pipe.components.default_features import default_features
from fluent_pipe.components.feature_transforms import TEXT_BUCKETS
from fluent_pipe.errors import InputError, TrainingError
from tests import beam_jobs
from tests.components.test_preprocess import component

ALWAYS = "presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } }"
SOMETIMES = "presence { min_count: 1 } value_count { min: 1 max: 1 }"
SCHEMA = f"""
feature {{ name: "fare" type: FLOAT {SOMETIMES} }}
feature {{ name: "miles" type: INT {ALWAYS} }}
feature {{ name: "month" type: INT {SOMETIMES} }}
feature {{ name: "tolls" type: INT {ALWAYS} }}
feature {{ name: "company" type: BYTES {SOMETIMES} }}
feature {{ name: "trip" type: BYTES {ALWAYS} }}
feature {{ name: "year" type: INT {ALWAYS} }}
feature {{ name: "place" type: FLOAT presence {{ min_fraction: 1 min_count: 1 }} shape {{ dim {{ size: 2 }} }} }}
feature {{ name: "stops" type: FLOAT presence {{ min_count: 1 }} value_count {{ min: 1 max: 5 }} }}
feature {{ name: "tags" type: BYTES presence {{ min_count: 1 }} value_count {{ min: 1 max: 5 }} }}
feature {{ name: "paid" type: BYTES {SOMETIMES} }}
feature {{ name: "importance" type: FLOAT {ALWAYS} }}
"""
ROWS = 300


def table(rows: int, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    paid = random.choice(["cash", "card", "app"], rows).tolist()
    return pa.table(
        {
            "fare": pa.array([None if i % 5 == 0 else float(random.normal(20, 5)) for i in range(rows)], pa.float64()),
            "miles": random.integers(0, 5000, rows),
            "month": pa.array([None if i % 10 == 0 else int(random.integers(1, 13)) for i in range(rows)], pa.int64()),
            "tolls": random.integers(0, 2, rows),
            "company": pa.array([None if i % 4 == 0 else ["Blue", "Red"][i % 2] for i in range(rows)]),
            "trip": [f"trip {i}" for i in range(rows)],
            "year": [2013] * rows,
            "place": pa.array(random.normal(5, 2, (rows, 2)).tolist(), pa.list_(pa.float64())),
            "stops": pa.array([None if i % 3 == 0 else [1.0, float(i)] for i in range(rows)], pa.list_(pa.float64())),
            "tags": pa.array([None if i % 3 == 0 else ["a", f"t{i % 9}"] for i in range(rows)], pa.list_(pa.string())),
            "paid": pa.array([None, *paid[1:]]),
            "importance": [0.0, *[1.0] * (rows - 1)],
        }
    )


TRAIN = table(ROWS, seed=3)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> TransformGraph:
    splits = {"train": TRAIN, "eval": table(60, seed=4)}
    made = component(
        tmp_path_factory.mktemp("default"), None, label="paid", weight="importance", splits=splits, schema=SCHEMA
    )
    return TransformGraph(beam_jobs.run(made), "", "preprocess")


@pytest.fixture(scope="module")
def features(graph: TransformGraph) -> dict[str, np.ndarray[Any, Any]]:
    read = pa.concat_tables([pq.read_table(f) for f in graph.files("train")])
    return {name: np.array(read[name].to_pylist()) for name in read.column_names}


def test_names_and_types(graph: TransformGraph) -> None:
    found = {name: (f["dtype"], f["shape"]) for name, f in graph.facts()["features"].items()}
    number: tuple[str, list[int]] = ("float32", [])
    place: tuple[str, list[int]] = ("int64", [])
    assert found == {
        "fare": number,
        "fare_missing": number,
        "miles": number,
        "month": place,
        "tolls": number,
        "company": place,
        "trip": place,
        "place": ("float32", [2]),
        "stops": number,
        "stops_missing": number,
        "tags": ("float32", [TEXT_BUCKETS]),
        "paid": place,
        "importance": number,
    }


def test_number(features: dict[str, np.ndarray[Any, Any]]) -> None:
    missing = features["fare_missing"] == 1
    assert missing.sum() == ROWS / 5
    assert not features["fare"][missing].any()
    present = np.array([v for v in TRAIN["fare"].to_pylist() if v is not None])
    expected = (present - present.mean()) / present.std()
    np.testing.assert_allclose(np.sort(features["fare"][~missing]), np.sort(expected), atol=1e-4)
    assert set(features["tolls"]) == {0.0, 1.0}


def test_few_whole_numbers_become_places(graph: TransformGraph, features: dict[str, np.ndarray[Any, Any]]) -> None:
    expected = sorted(12 if v is None else v - 1 for v in TRAIN["month"].to_pylist())
    assert sorted(features["month"]) == expected
    assert graph.facts()["vocabularies"]["month"] == 13


def test_text(graph: TransformGraph, features: dict[str, np.ndarray[Any, Any]]) -> None:
    words = (graph.path / "transform_fn" / "assets" / "company").read_text().split("\n")
    assert sorted(w for w in words if w) == ["<missing>", "Blue", "Red"]
    assert graph.facts()["vocabularies"]["company"] == 4
    assert set(features["company"]) == {0, 1, 2}
    assert len(set(features["trip"])) == 1  # texts that occur once share the id of unknown ones


def test_lists(features: dict[str, np.ndarray[Any, Any]]) -> None:
    np.testing.assert_allclose(features["place"].mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(features["place"].std(axis=0), 1, atol=1e-4)
    assert features["stops_missing"].sum() == ROWS / 3
    np.testing.assert_allclose(features["tags"].sum(axis=1), np.where(features["stops_missing"], 0, 1), atol=1e-5)


def test_text_label_becomes_classes_in_alphabetical_order(graph: TransformGraph) -> None:
    facts = graph.facts()
    paid = TRAIN["paid"].to_pylist()[1:]  # the first row has no label and no weight
    assert (facts["task"], facts["classes"], facts["class_count"]) == ("multiclass", ["app", "card", "cash"], 3)
    assert facts["class_counts"] == [paid.count(c) for c in ("app", "card", "cash")]


def schema(*features: str) -> schema_pb2.Schema:
    return text_format.Parse("".join(f"feature {{ {f} }}\n" for f in features), schema_pb2.Schema())


def seen(*values: Any, limit: int = 64, nulls: int = 0) -> ColumnFacts:
    return ColumnFacts(limit, set(values) if len(set(values)) <= limit else None, nulls)


X = f'name: "x" type: FLOAT {ALWAYS}'


def test_label_of_whole_numbers() -> None:
    column = f'name: "y" type: INT {ALWAYS}'

    def made(*values: int) -> Any:
        return default_features(schema(X, column), {"y": seen(*values, limit=1000)}, label="y").label

    assert made(0, 1).kind == "whole"
    assert (made(1, 3, 5).kind, made(1, 3, 5).classes) == ("index", ("1", "3", "5"))
    assert made(*range(-50, 50)).kind == "float"
    assert made(*range(2000)).kind == "float"


def test_schema_decides_without_rows() -> None:
    column = 'name: "x" type: INT int_domain { min: 1 max: 4 is_categorical: true } value_count { min: 1 max: 1 }'
    (feature,) = default_features(schema(column), {}).features
    assert (feature.kind, feature.values) == ("category", (1, 2, 3, 4))


def test_indicator_never_takes_a_columns_name() -> None:
    columns = schema(f'name: "x" type: FLOAT {SOMETIMES}', f'name: "x_missing" type: FLOAT {ALWAYS}')
    assert [f.indicator for f in default_features(columns, {}).features] == ["x_missing_", None]


def test_what_cannot_be() -> None:
    with pytest.raises(TrainingError, match=r"Label 'fair' is not a column.*Did you mean 'fare'"):
        default_features(schema('name: "fare" type: FLOAT'), {}, label="fair")
    with pytest.raises(TrainingError, match="Weight 'w' is text"):
        default_features(schema(X, 'name: "w" type: BYTES'), {}, weight="w")
    with pytest.raises(InputError, match="No column is left to learn from"):
        default_features(schema(X), {"x": seen(3.0)})
    with pytest.raises(TrainingError, match="too many different values"):
        default_features(schema(X, f'name: "y" type: BYTES {ALWAYS}'), {"y": ColumnFacts(1, None)}, label="y")


def test_facts_of_columns(tmp_path: Path) -> None:
    rows = pa.table({"a": [1, 2, None, 1], "b": [1.0, float("nan"), 1.0, 1.0], "c": ["x"] * 4, "d": [[1]] * 4})
    pq.write_table(rows, tmp_path / "a.parquet")
    found = column_facts([tmp_path / "a.parquet"], {"a": 5, "b": 1, "c": 0, "d": 5, "absent": 5})
    assert set(found) == {"a", "b", "c"}
    assert (found["a"].ordered, found["a"].nulls) == ((1, 2), 1)
    assert (found["b"].ordered, found["b"].nulls) == ((1.0,), 1)
    assert found["c"].values is None
