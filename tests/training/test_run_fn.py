"""TFX's ``run_fn`` in a module file, over our Parquet."""

from __future__ import annotations

import itertools

import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public.tfxio import RecordBatchesOptions, TensorFlowDatasetOptions

from fluent_pipe.artifacts import Examples, Schema, TransformGraph
from fluent_pipe.errors import ArgumentError, UserCodeError
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.model import Train
from fluent_pipe.training.run_fn import call_run_fn, fn_args


@pytest.fixture
def arguments(late, tmp_path):
    names = {"graph": TransformGraph, "examples": Examples, "schema": Schema}
    inputs = {name: Ref(name, kind) for name, kind in names.items()}
    step = Train(id="train", **inputs, epochs=2, batch_size=100, train_split="train", validation_split="eval")
    return fn_args(step, late.graph, late.schema.path / "schema.pbtxt", tmp_path)


def test_arguments_are_those_of_tfx(arguments) -> None:
    assert (arguments.train_steps, arguments.eval_steps) == (6, 1)
    assert arguments.transform_output == arguments.transform_graph_path
    assert arguments.hyperparameters is None


def test_the_data_accessor_gives_batches_as_the_schema_says(arguments) -> None:
    schema = tft.TFTransformOutput(arguments.transform_output).transformed_metadata.schema
    options = TensorFlowDatasetOptions(batch_size=100, label_key="late", num_epochs=1)
    batches = list(arguments.data_accessor.tf_dataset_factory(arguments.train_files, options, schema))
    assert [len(label) for _, label in batches] == [100, 100, 40]
    features, label = batches[0]
    assert label.shape == (100, 1)
    assert features["month"].shape == (100,)
    assert isinstance(features["tags_id"], tf.SparseTensor)
    assert "late" not in features


def test_the_data_accessor_repeats_for_ever_and_drops_the_rest(arguments) -> None:
    options = TensorFlowDatasetOptions(batch_size=100, drop_final_batch=True)
    batches = arguments.data_accessor.tf_dataset_factory(arguments.train_files, options).take(5)
    assert [features["late"].shape[0] for features in batches] == [100] * 5
    options = RecordBatchesOptions(batch_size=100)
    rows = arguments.data_accessor.record_batch_factory(arguments.eval_files, options)
    assert [batch.num_rows for batch in itertools.islice(rows, 3)] == [60, 60, 60]


def test_a_label_key_that_is_no_column_is_named(arguments) -> None:
    options = TensorFlowDatasetOptions(batch_size=10, label_key="lat")
    with pytest.raises(ArgumentError, match="Did you mean 'late'"):
        arguments.data_accessor.tf_dataset_factory(arguments.train_files, options)


def test_nothing_saved_is_an_error(arguments) -> None:
    function = UserFunction.of(lambda fn_args: None, name="run_fn", call="train")
    with pytest.raises(UserCodeError, match=r"saved no SavedModel in fn_args.serving_model_dir"):
        call_run_fn(function, arguments)


def test_what_it_raises_has_its_file_and_line(arguments) -> None:
    def run_fn(fn_args):
        raise RuntimeError("no such optimizer")

    with pytest.raises(UserCodeError, match=rf"run_fn \({__file__}:\d+\): RuntimeError: no such optimizer"):
        call_run_fn(UserFunction.of(run_fn, name="run_fn", call="train"), arguments)
