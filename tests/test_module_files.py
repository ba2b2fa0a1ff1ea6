"""Module files as people have them for TFX: one file for all calls, and what is said of one that needs TFX itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import fluent_pipe as fp
from fluent_pipe.errors import ArgumentError
from tests import trips

THREE = """
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public import tfxio

def preprocessing_fn(inputs): ...
def build_model(hp): ...
def tuner_fn(fn_args): ...
def run_fn(fn_args): ...
"""


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return fp.Pipeline("p").from_csv("a.csv").generate_statistics().infer_schema()


def written(text: str, name: str = "taxi.py") -> str:
    with open(name, "w") as file:
        file.write(text)
    return name


def test_one_file_holds_all_three_functions(pipeline) -> None:
    file = written(THREE)
    *_, preprocess, tune, train = pipeline.preprocess(file).tune(file).train(file).steps
    assert preprocess.function.name == "preprocessing_fn"
    assert (tune.tuner_fn.name, tune.build_model) == ("tuner_fn", None)
    assert (train.run_fn.name, train.build_model) == ("run_fn", None)


def test_a_file_without_tfx_names_is_taken_for_build_model(pipeline) -> None:
    file = written("def build_model(data, hp): ...")
    train = pipeline.preprocess().train(file).steps[-1]
    assert (train.run_fn, train.build_model.name) == (None, "build_model")
    with pytest.raises(ArgumentError, match=r"has no function preprocessing_fn. There are: build_model\."):
        pipeline.preprocess(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            ("import tensorflow as tf\nfrom tfx.components.trainer.fn_args_utils import FnArgs\n"
            "def run_fn(fn_args: FnArgs): ..."),
            ["taxi.py:2", "imports tfx", "FnArgs: leave the annotation out"],
        ),
        (
            ("import tfx.v1 as tfx\ndef run_fn(fn_args: tfx.components.FnArgs):\n"
            "    schema = tfx.utils.parse_pbtxt_file(fn_args.schema_path)\n"
            "    return tfx.components.TunerFnResult(tuner=schema, fit_kwargs={})"),
            [
                "taxi.py:1", "tfx.v1.components.FnArgs: leave", "parse_pbtxt_file: tfdv.load_schema_text",
                'TunerFnResult: collections.namedtuple("TunerFnResult", ["tuner", "fit_kwargs"])',
            ],
        ),
        (
            "def run_fn(fn_args):\n    from tfx.dsl.io import fileio\n    fileio.exists(fn_args.schema_path)",
            ["taxi.py:2", "tfx.dsl.io.fileio.exists: tf.io.gfile"],
        ),
        ("import features\ndef run_fn(fn_args): ...", ["features.py:1", "tfx: what TensorFlow, TFT or tfx-bsl have"]),
    ],
)  # fmt: skip
def test_what_to_replace_is_said_at_the_call(pipeline, text, words) -> None:
    file = written(text)
    written("import tfx", "features.py")
    ready = pipeline.preprocess()
    with pytest.raises(ArgumentError) as caught:
        ready.train(file)
    assert [w for w in words if w not in str(caught.value)] == []
    with pytest.raises(ArgumentError, match=r"train\(\): this module file imports tfx"):
        ready.train(file)


def test_an_import_that_is_never_made_is_no_matter(pipeline) -> None:
    file = written(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from tfx.v1.components import FnArgs\n"
        "try:\n    import tfx\nexcept ImportError:\n    tfx = None\n"
        "def run_fn(fn_args: FnArgs): ..."
    )
    assert pipeline.preprocess().train(file).steps[-1].run_fn is not None


def test_a_function_of_a_neighbouring_file_may_have_other_users(pipeline) -> None:
    written("def pipeline_of_tfx():\n    import tfx", "features.py")
    assert pipeline.preprocess().train(written("import features\ndef run_fn(fn_args): ...")).steps[-1].run_fn


def test_custom_config_is_json(pipeline) -> None:
    train = pipeline.preprocess().train(custom_config={"layers": [8, 4], "rate": 0.1}).steps[-1]
    assert train.custom_config == '{"layers": [8, 4], "rate": 0.1}'
    with pytest.raises(ArgumentError, match="custom_config= must be JSON"):
        pipeline.preprocess().train(custom_config={"when": object()})
    with pytest.raises(ArgumentError, match="a mapping with text as keys"):
        pipeline.preprocess().train(custom_config=["layers"])


@pytest.mark.slow
def test_a_module_file_of_tfx_runs_unchanged(tmp_path) -> None:
    """It reads with the data accessor, and saves what tf.keras built."""
    file = str(Path(__file__).parent / "taxi_module.py")
    run = (
        fp.Pipeline("trips", root=tmp_path / "root")
        .from_csv(trips.write(tmp_path / "trips.csv", trips.rows()))
        .generate_statistics()
        .infer_schema()
        .preprocess(file, label="tipped")
        .tune(file, custom_config={"choices": [4, 8]})
        .train(file, epochs=8)
        .evaluate(slices=["city"])
        .run(progress=False)
    )
    assert run.evaluation.metrics["auc"] > 0.55
    assert run.model.artifact.facts()["hyperparameters"]["units"] in (4, 8)
    assert list((run.model.path / "logs").rglob("events.*"))
