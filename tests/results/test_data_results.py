"""Results about data: as text, as pictures, as what they hold."""

import importlib.util
import json
import subprocess
import sys

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from fluent_pipe.artifacts import Anomalies, Examples, Schema, Statistics, TransformGraph
from fluent_pipe.display.charts import as_image, inline
from fluent_pipe.errors import ArgumentError
from fluent_pipe.results import (
    AnomaliesResult,
    ExamplesResult,
    SchemaResult,
    StatisticsResult,
    Timings,
    TransformResult,
)
from fluent_pipe.run import Run
from tests.display.made_up import anomaly, distance, found, numeric, statistics


def artifact(kind, folder, name="1"):
    (path := folder / kind.__name__ / name).mkdir(parents=True)
    return kind(path, "", kind.__name__, name)


def of_statistics(folder, name="1", **splits):
    made = artifact(Statistics, folder, name)
    for split, proto in splits.items():
        made.split(split).mkdir()
        (made.split(split) / "FeatureStats.pb").write_bytes(proto.SerializeToString())
    return made


def with_facts(kind, folder, facts, name="1"):
    made = artifact(kind, folder, name)
    (made.path / kind.facts_file).write_text(json.dumps(facts))
    return made


@pytest.fixture
def counted(tmp_path):
    distance_ = numeric("distance", [1, 2, 3], whole=True)
    return of_statistics(tmp_path, train=statistics(3, distance_), eval=statistics(2, distance_))


@pytest.fixture
def validated(tmp_path):
    return with_facts(Anomalies, tmp_path, found(anomaly("distance"), drift=[distance("distance", 0.3, 0.1)]))


def test_statistics_draw_themselves_with_what_validate_found(counted, validated):
    plain, judged = StatisticsResult(counted), StatisticsResult(counted, AnomaliesResult(validated))
    assert repr(plain).startswith("1 feature: train 3 rows, eval 2 rows")
    assert "drift of distance in train: 0.3 > 0.1 ▲" in repr(judged)
    assert "with anomalies" in judged.drawn(inline)
    assert "with anomalies" not in plain.drawn(inline)
    assert "data:image/svg+xml" in judged._repr_mimebundle_()["text/html"]
    assert judged == StatisticsResult(counted, AnomaliesResult(validated))
    assert set(judged.protos()) == {"train", "eval"}


def test_a_run_puts_anomalies_beside_the_statistics_they_were_found_in(counted, validated, tmp_path):
    later = of_statistics(tmp_path, "later", train=statistics(1, numeric("distance", [1])))

    def run(*artifacts):
        return Run("r", "p", "succeeded", Timings(()), tmp_path, artifacts)

    assert run(counted, validated).statistics.anomalies == AnomaliesResult(validated)
    assert run(counted).statistics.anomalies is None
    assert run(counted, validated, later).statistics == StatisticsResult(later), "nobody validated the later ones"


def test_show_prints_outside_a_notebook(counted, capsys):
    StatisticsResult(counted).show()
    assert "distance" in capsys.readouterr().out
    StatisticsResult(counted).show(style="table")
    assert "distance" in capsys.readouterr().out


def test_show_as_facets_says_how_to_get_a_page_outside_a_notebook(counted, capsys):
    StatisticsResult(counted).show(style="facets")
    assert ".facets('facets.html') writes it as a page" in capsys.readouterr().out


def test_a_style_that_is_not_there_is_refused(counted):
    with pytest.raises(ArgumentError, match=r"There are: table, facets\. Did you mean 'facets'"):
        StatisticsResult(counted).show(style="facet")


@pytest.mark.skipif(importlib.util.find_spec("witwidget") is None, reason="witwidget is an extra")
def test_facets_is_written_as_a_page(counted, tmp_path):
    page = StatisticsResult(counted).facets(tmp_path / "deep" / "facets.html")
    assert "<facets-overview" in page.read_text(encoding="utf-8")


def test_schema_anomalies_and_examples_draw_themselves(validated, tmp_path):
    schema = artifact(Schema, tmp_path)
    feature = schema_pb2.Schema()
    feature.feature.add(name="distance", type=schema_pb2.INT).presence.min_fraction = 1
    (schema.path / "schema.pbtxt").write_text(text_format.MessageToString(feature))
    examples = with_facts(
        Examples, tmp_path, {"splits": {"all": {"rows": 7}}, "columns": {"distance": "int64"}, "rejected": 0}
    )
    for result, words in (
        (SchemaResult(schema), "required"),
        (AnomaliesResult(validated), "▲ 1 anomaly in 1 column."),
        (ExamplesResult(examples), "100%"),
    ):
        assert words in repr(result)
        assert words in result.drawn(as_image)
        assert words in result._repr_mimebundle_()["text/plain"]


def test_a_transform_without_its_graph_lists_columns_and_features(tmp_path):
    facts = {"label": None, "weight": None, "task": None, "splits": {}, "vocabularies": {}}
    facts["features"] = {"far": {"dtype": "float32", "shape": [1], "kind": "dense"}}
    result = TransformResult(with_facts(TransformGraph, tmp_path, facts))
    assert result.columns == {}
    assert result.sources == {}
    assert "0 columns in, 1 feature out" in repr(result)
    (result.path / "metadata").mkdir()
    (result.path / "metadata" / "schema.pbtxt").write_text('feature { name: "distance" type: INT }')
    assert result.columns == {"distance": "INT"}
    assert "distance" in result.drawn(inline)


def test_pictures_load_nothing_heavy(counted, validated):
    code = f"""
import sys
from pathlib import Path
from fluent_pipe.artifacts import Anomalies, Statistics
from fluent_pipe.results import AnomaliesResult, StatisticsResult
found = AnomaliesResult(Anomalies(Path({str(validated.path)!r}), "", "validate"))
drawn = StatisticsResult(Statistics(Path({str(counted.path)!r}), "", "generate_statistics"), found)
assert drawn._repr_mimebundle_()
heavy = {{"tensorflow", "apache_beam", "pandas", "pyarrow", "numpy", "tensorflow_data_validation"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
