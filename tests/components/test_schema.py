"""infer_schema(), with_schema() and curate_schema()."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.artifacts import Examples, Schema, Statistics
from fluent_pipe.components.generate_statistics import GenerateStatistics, stats_options
from fluent_pipe.components.inputs import SchemaInput, StatisticsInput
from fluent_pipe.components.schema import CurateSchema, InferSchema, WithSchema, read_schema
from fluent_pipe.components.schema import infer as infer_from_statistics
from fluent_pipe.components.statistics import together
from fluent_pipe.errors import InputError, UserCodeError
from fluent_pipe.steps import data
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.functions import UserFunction
from tests.beam_jobs import context, examples, job, run

TRAIN = pa.table(
    {
        "fare": [1.5, 2.5, 3.0, 4.0] * 5,
        "carrier": ["UA", "AA", "UA", "B6"] * 5,
        "tail": [f"N{n}" for n in range(20)],
        "note": ["x"] * 20,
    }
)
EVAL = pa.table(
    {
        "fare": [1.5, None, 2.0, 2.0],
        "carrier": ["UA", "WN", "UA", None],
        "tail": [f"M{n}" for n in range(4)],
        "note": pa.nulls(4, pa.string()),
    }
)


def infer(folder: Path, max_domain: int = 100, infer_shape: bool = True, **splits: pa.Table) -> schema_pb2.Schema:
    """Rows to schema in one job, as a run does it."""
    statistics = data.GenerateStatistics(id="statistics", examples=Ref("s", Examples), split_names=tuple(splits))
    step = data.InferSchema(
        id="infer_schema", statistics=Ref("statistics", Statistics), split=next(iter(splits)), max_domain=max_domain,
        infer_shape=infer_shape,
    )  # fmt: skip
    contexts = context(folder, "statistics"), context(folder, "infer_schema")
    with job(*contexts) as pipeline:
        live = GenerateStatistics(statistics, contexts[0], examples(folder / "examples", **splits)).build(pipeline)
        InferSchema(step, contexts[1], StatisticsInput("statistics", live=live)).build(pipeline)
    return read_schema(folder / "infer_schema" / "schema.pbtxt")


def features(schema: schema_pb2.Schema) -> dict[str, schema_pb2.Feature]:
    return {feature.name: feature for feature in schema.feature}


def test_one_split_gives_what_tfdv_infers(tmp_path: Path) -> None:
    assert infer(tmp_path, train=TRAIN) == tfdv.infer_schema(tfdv.generate_statistics_from_dataframe(TRAIN.to_pandas()))


def test_what_only_another_split_holds_belongs_to_the_schema(tmp_path: Path) -> None:
    schema = infer(tmp_path, max_domain=10, train=TRAIN, eval=EVAL)
    found = features(schema)
    assert list(found) == TRAIN.column_names
    assert sorted(tfdv.get_domain(schema, "carrier").value) == ["AA", "B6", "UA", "WN"]
    assert not found["tail"].HasField("domain")
    assert not found["fare"].HasField("shape")
    assert found["fare"].presence.min_fraction < 1.0
    assert found["note"].lifecycle_stage != schema_pb2.DEPRECATED
    for split in ("train", "eval"):
        statistics = tfdv.load_stats_binary(str(tmp_path / "statistics" / f"Split-{split}" / "FeatureStats.pb"))
        assert not tfdv.validate_statistics(statistics, schema).anomaly_info


def test_a_domain_has_at_most_the_values_allowed_over_all_splits(tmp_path: Path) -> None:
    assert features(infer(tmp_path / "four", max_domain=4, train=TRAIN, eval=EVAL))["carrier"].domain
    assert not features(infer(tmp_path / "three", max_domain=3, train=TRAIN, eval=EVAL))["carrier"].domain


def test_shapes_only_where_asked(tmp_path: Path) -> None:
    assert features(infer(tmp_path / "with", train=TRAIN))["carrier"].shape.dim[0].size == 1
    assert not features(infer(tmp_path / "without", infer_shape=False, train=TRAIN))["carrier"].HasField("shape")


COLUMN = st.sampled_from(["number", "string", "digit", "float", "lists"])
VALUES: dict[str, Any] = {
    "number": st.integers(-3, 3),
    "string": st.sampled_from(["a", "b", "cc", "ä", ""]),
    "digit": st.sampled_from(["0", "1", "2", "true", "false"]),
    "float": st.floats(allow_nan=True, width=32),
    "lists": st.lists(st.integers(0, 5), max_size=3),
}
TYPES = {
    "number": pa.int64(),
    "string": pa.string(),
    "digit": pa.string(),
    "float": pa.float32(),
    "lists": pa.list_(pa.int64()),
}


@st.composite
def messy_splits(draw: Callable[..., Any]) -> list[pa.Table]:
    names = draw(st.lists(COLUMN, unique=True, min_size=1))
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=3))
    return [
        pa.table(
            {
                name: pa.array(draw(st.lists(st.none() | VALUES[name], min_size=size, max_size=size)), TYPES[name])
                for name in names
            }
        )
        for size in sizes
    ]


@settings(max_examples=60, deadline=None)
@given(messy_splits())
def test_an_inferred_schema_accepts_every_split_it_came_from(tables: list[pa.Table]) -> None:
    statistics = [
        stats_impl.generate_statistics_in_memory(to_tfx(t.combine_chunks().to_batches()[0]), stats_options({}))
        for t in tables
    ]
    schema = infer_from_statistics(statistics, shape=True, max_domain=3)
    for own in statistics:
        anomalies = tfdv.validate_statistics(own, schema)
        assert not {name: info.description for name, info in anomalies.anomaly_info.items()}


def test_counts_of_splits_are_added() -> None:
    parts = [tfdv.generate_statistics_from_dataframe(t.to_pandas()).datasets[0] for t in (TRAIN, EVAL)]
    (total,) = together(parts).datasets
    carrier = next(f for f in total.features if f.path.step[0] == "carrier")
    assert total.num_examples == 24
    assert (carrier.string_stats.common_stats.num_non_missing, carrier.string_stats.common_stats.num_missing) == (23, 1)
    assert carrier.string_stats.unique == 4
    # The parts stay as they were.
    assert parts[0] == tfdv.generate_statistics_from_dataframe(TRAIN.to_pandas()).datasets[0]


def schema_of(path: Path) -> str:
    tfdv.write_schema_text(tfdv.infer_schema(tfdv.generate_statistics_from_dataframe(TRAIN.to_pandas())), str(path))
    return str(path)


def test_a_schema_from_a_file_is_kept(tmp_path: Path) -> None:
    path = schema_of(tmp_path / "mine.pbtxt")
    folder = run(WithSchema(data.WithSchema(id="with_schema", path=path), context(tmp_path, "with_schema")))
    assert read_schema(folder / "schema.pbtxt") == tfdv.load_schema_text(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no schema file .* Did you mean 'mine.pbtxt'"),
        ("feature {\n  name: 'fare'\n  kind: INT\n}\n", r"broken.pbtxt:3: This is no TFDV schema"),
        ("feature {\n", "This is no TFDV schema"),
        ("", "names no column"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_schema_file_that_cannot_be_used_says_where(tmp_path: Path, text: str | None, message: str) -> None:
    schema_of(tmp_path / "mine.pbtxt")
    path = tmp_path / ("mime.pbtxt" if text is None else "broken.pbtxt")
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    where = context(tmp_path, "with_schema")
    with pytest.raises(InputError, match=message), job(where) as pipeline:
        WithSchema(data.WithSchema(id="with_schema", path=str(path)), where).build(pipeline)


def curate(folder: Path, function: Callable[..., Any] | str) -> schema_pb2.Schema:
    folder.mkdir(exist_ok=True)
    schema_of(folder / "schema.pbtxt")
    user = UserFunction.of(function, name="curate", call="curate_schema")
    step = data.CurateSchema(id="curate_schema", schema=Ref("infer_schema", Schema), function=user)
    given = SchemaInput("schema", artifact=Schema(folder, fingerprint="", step="infer_schema"))
    return read_schema(run(CurateSchema(step, context(folder, "curate_schema"), given)) / "schema.pbtxt")


def test_a_function_changes_the_schema_in_place_or_returns_another(tmp_path: Path) -> None:
    def in_place(schema: schema_pb2.Schema) -> None:
        tfdv.get_feature(schema, "fare").float_domain.min = 0.0

    def another(schema: schema_pb2.Schema) -> schema_pb2.Schema:
        return schema_pb2.Schema(feature=[f for f in schema.feature if f.name != "tail"])

    assert features(curate(tmp_path / "a", in_place))["fare"].float_domain.HasField("min")
    assert "tail" not in features(curate(tmp_path / "b", another))
    module = tmp_path / "mine.py"
    module.write_text("def curate(schema):\n    del schema.feature[1:]\n")
    assert list(features(curate(tmp_path / "c", str(module)))) == ["fare"]


def test_a_function_that_raises_or_returns_something_else_is_named_with_file_and_line(tmp_path: Path) -> None:
    def forgetful(schema: schema_pb2.Schema) -> None:
        tfdv.get_feature(schema, "fair").type = schema_pb2.INT

    def wrong(schema: schema_pb2.Schema) -> Any:
        return [feature.name for feature in schema.feature]

    line = forgetful.__code__.co_firstlineno + 1
    with pytest.raises(UserCodeError, match=rf"test_schema.py:{line}: forgetful raised ValueError.*fair"):
        curate(tmp_path / "a", forgetful)
    with pytest.raises(UserCodeError, match=r"test_schema.py:\d+\): wrong returned list"):
        curate(tmp_path / "b", wrong)
    module = tmp_path / "mine.py"
    module.write_text("def curate(schema):\n    return schema.feature['fare']\n")
    with pytest.raises(UserCodeError, match=r"mine\.py:2: curate raised TypeError"):
        curate(tmp_path / "c", str(module))


def test_statistics_of_no_rows_give_no_columns() -> None:
    empty = together([statistics_pb2.DatasetFeatureStatistics()])
    assert not tfdv.infer_schema(empty).feature
