"""``examples_format="tfrecord"``: what TFX, TFDV and TFMA read lies beside what this library reads."""

from __future__ import annotations

import apache_beam as beam
import pytest
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_data_validation.utils import stats_util
from tfx_bsl.tfxio import tf_example_record

import fluent_pipe as fp
from fluent_pipe.artifacts import Examples
from fluent_pipe.errors import InputError
from tests import tfrecords, trips
from tests.components.test_read_examples import rows

# Counts alone, since tf.Example has no wider floats than 32 bits.
ROWS = [{k: v for k, v in row.items() if k not in ("miles", "fare")} for row in trips.rows(400)]


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Examples:
    """Trips with TFRecord files; look, do not change."""
    folder = tmp_path_factory.mktemp("format")
    csv = trips.write(folder / "trips.csv", ROWS)
    pipeline = fp.Pipeline("p", root=folder / "root").from_csv(csv, examples_format="tfrecord").generate_statistics()
    return pipeline.run(progress=False).examples.artifact


def test_files_are_where_tfx_looks_and_nothing_else_is_there(examples):
    for split in ("train", "eval"):
        assert [f.name for f in examples.split(split).iterdir()] == ["data_tfrecord-00000-of-00001.gz"]
        assert examples.tfrecords(split) == list(examples.split(split).iterdir())
        assert [f.parent.parent.name for f in examples.files(split)] == ["parquet"]


def test_records_are_the_rows(examples, tmp_path):
    by_split = {split: str(examples.split(split) / "*") for split in ("train", "eval")}
    pipeline = fp.Pipeline("p", root=tmp_path / "root").from_tfrecord(by_split)
    again = pipeline.run(progress=False).examples.artifact
    for split in ("train", "eval"):
        ordered = [dict(sorted(row.items())) for row in rows(examples, split)]
        assert rows(again, split) == sorted(ordered, key=repr)


def test_tfdv_reads_them_and_finds_the_same_statistics(examples, tmp_path):
    found = tfdv.generate_statistics_from_tfrecord(str(examples.split("train") / "*"), str(tmp_path / "stats.tfrecord"))
    (folder,) = examples.path.parents[1].glob("generate_statistics/*")
    ours = tfdv.load_stats_binary(str(folder / "Split-train" / "FeatureStats.pb"))
    assert _counts(found) == _counts(ours)


def _counts(statistics) -> dict:
    (view,) = [stats_util.DatasetListView(statistics).get_default_slice()]
    facts = {}
    for feature in view.proto().features:
        kind = feature.WhichOneof("stats")
        stats = getattr(feature, kind)
        common = stats.common_stats
        own = (stats.unique, stats.top_values[0].value) if kind == "string_stats" else (stats.mean, stats.max)
        facts[feature.path.step[0]] = (kind, common.num_non_missing, common.num_missing, common.tot_num_values, own)
    return facts


def test_tfx_bsl_and_tfma_read_them(examples, tmp_path):
    counted = str(tmp_path / "counted")
    source = tf_example_record.TFExampleRecord(
        str(examples.split("eval") / "*"), raw_record_column_name=tfma.ARROW_INPUT_COLUMN
    )
    config = tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="tipped", prediction_key="hour")],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=["city"])],
        metrics_specs=[tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name="ExampleCount")])],
    )
    with beam.Pipeline(options=PipelineOptions(flags=[])) as pipeline:
        _ = (
            pipeline
            | source.BeamSource()
            | tfma.ExtractEvaluateAndWriteResults(eval_config=config, output_path=counted)
        )
    result = tfma.load_eval_result(counted)
    cities = {row["city"] for row in ROWS}
    by_slice = {dict(key).get("city"): value for key, value in result.slicing_metrics}
    assert set(by_slice) == {None, *cities}
    counts = {city: value[""][""]["example_count"]["doubleValue"] for city, value in by_slice.items()}
    assert counts[None] == sum(counts[city] for city in cities) == len(rows(examples, "eval"))


def test_equal_rows_make_equal_files(examples, tmp_path):
    root = tmp_path / "root"
    csv = trips.write(tmp_path / "trips.csv", ROWS)
    again = fp.Pipeline("q", root=root).from_csv(csv, examples_format="tfrecord").run(progress=False)
    assert again.examples.artifact.fingerprint == examples.fingerprint


def test_rejected_records_are_kept_and_a_cut_file_leaves_nothing(tmp_path):
    good = [{"x": i} for i in range(50)]
    path = tfrecords.write(tmp_path / "a.tfrecord", [*good, b"hello", *good])
    pipeline = fp.Pipeline("p", root=tmp_path / "root").from_tfrecord(path)
    with pytest.raises(InputError, match=r"1 of 101 rows cannot be read .*a.tfrecord:51: not a tf.Example"):
        pipeline.run(progress=False)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"record 101, which begins at byte .*The 100 records before it are good"):
        pipeline.run(progress=False)
    assert not list((tmp_path / "root" / "p").glob("from_tfrecord/*"))
    tfrecords.write(path, [*good, b"hello", *good])
    run = fp.Pipeline("p", root=tmp_path / "root").from_tfrecord(path, max_rejected=0.01).run(progress=False)
    assert run.examples.artifact.facts()["rejected"] == 1


def test_types_that_the_first_records_do_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr("fluent_pipe.arrow.tfrecord_file.ROWS_PER_BATCH", 10)
    path = tfrecords.write(tmp_path / "a.tfrecord.gz", [{"x": i} for i in range(50)] + [{"x": [1, 2]}])
    run = fp.Pipeline("p", root=tmp_path / "root").from_tfrecord(path).run(progress=False)
    assert run.examples.artifact.facts()["columns"] == {"x": "list<item: int64>"}


def test_bulk_infer_takes_tfrecord_by_its_name():
    scored = fp.Pipeline("p")._rows_to_score
    assert [scored(n).call for n in ("a.tfrecord", "x/data_tfrecord-00000-of-00001.gz", "a.csv.gz", "a.parquet")] == [
        "from_tfrecord",
        "from_tfrecord",
        "from_csv",
        "from_parquet",
    ]
