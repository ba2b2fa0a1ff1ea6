"""A schema as a table and as text."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from fluent_pipe.display.charts import inline
from fluent_pipe.display.schema import draw_schema, schema_text
from tests.display.made_up import HOSTILE, is_drawn_well

FLIGHTS = """
feature { name: "carrier" type: BYTES domain: "carriers" presence { min_fraction: 1 min_count: 1 }
  shape { dim { size: 1 } } drift_comparator { jensen_shannon_divergence { threshold: 0.1 } } }
feature { name: "hour" type: INT int_domain { min: 0 max: 23 is_categorical: true } presence { min_fraction: 0.98 }
  value_count { min: 1 max: 1 } skew_comparator { infinity_norm { threshold: 0.02 } } }
feature { name: "late" type: INT bool_domain {} value_count { min: 0 max: 3 } not_in_environment: "SERVING" }
feature { name: "speed" type: FLOAT float_domain { min: 0 disallow_nan: true } lifecycle_stage: BETA shape {} }
string_domain { name: "carriers" value: "UA" value: "AA" value: "DL" }
default_environment: "TRAINING" default_environment: "SERVING"
"""


def schema(text):
    return text_format.Parse(text, schema_pb2.Schema())


@pytest.mark.parametrize(
    "words",
    [
        "required",
        "98% of rows or more",
        "optional",
        "3 values: UA, AA, DL",
        "categories, 0 to 23",
        "0 or more, no NaN",
        "true or false",
        "0 to 3",
        "1 (scalar)",
        "drift: Jensen-Shannon divergence ≤ 0.1",
        "skew: largest difference of a share ≤ 0.02",
        "not in SERVING",
        "beta",
        "Environments: TRAINING, SERVING.",
        "4 columns, 1 required",
    ],
)
def test_it_says_all_that_a_column_must_be(words):
    assert words in draw_schema(schema(FLIGHTS), inline)
    assert words in schema_text(schema(FLIGHTS)).replace("…", "")


def test_columns_of_the_table_that_say_nothing_are_left_out():
    plain = schema('feature { name: "x" type: INT }')
    assert "limits" not in draw_schema(plain, inline)
    assert "limits" not in schema_text(plain)


def test_long_domains_are_cut():
    values = " ".join(f'value: "v{i}"' for i in range(500))
    long = schema(f'feature {{ name: "x" type: BYTES string_domain {{ {values} }} }}')
    assert "500 values: v0, v1, v2, v3, v4, v5, v6, v7, … 492 more" in draw_schema(long, inline)
    assert max(map(len, schema_text(long).splitlines())) <= 100


def test_very_many_columns_are_bounded():
    wide = schema("".join(f'feature {{ name: "f{i}" type: INT }}' for i in range(1000)))
    assert draw_schema(wide, inline).count("<tr") == 201
    assert "And 800 more columns" in draw_schema(wide, inline)
    assert "And 800 more columns" in schema_text(wide)


def test_an_empty_schema_has_no_table():
    assert "<table" not in draw_schema(schema(""), inline)
    assert schema_text(schema("")) == "0 columns, 0 required"


def test_names_are_data():
    hostile = schema_pb2.Schema(default_environment=HOSTILE)
    for name in HOSTILE:
        feature = hostile.feature.add(name=name, type=schema_pb2.BYTES, not_in_environment=[name])
        feature.string_domain.value.extend(HOSTILE)
    assert is_drawn_well(draw_schema(hostile, inline))
    assert not set("\x07\x1b\u202e") & set(schema_text(hostile))
