"""What tune() and with_hyperparameters() leave, how a search goes on, and what it says when it cannot."""

from __future__ import annotations

import json
import math
from pathlib import Path

import keras
import keras_tuner
import pytest
import tensorflow as tf

from fluent_pipe.artifacts import Examples, HyperParameters, Schema, TransformGraph
from fluent_pipe.components.base import Context
from fluent_pipe.components.hyperparameters import WithHyperparameters
from fluent_pipe.components.inputs import ExamplesInput, SchemaInput, TransformGraphInput
from fluent_pipe.components.train import Train
from fluent_pipe.components.tune import Tune
from fluent_pipe.errors import ArgumentError, TrainingError, UserCodeError
from fluent_pipe.results import TrialsResult
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.model import Train as TrainStep
from fluent_pipe.steps.tuning import Tune as TuneStep
from fluent_pipe.steps.tuning import WithHyperparameters as WithHyperparametersStep
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.hyperparameters import build_with, read
from fluent_pipe.training.warm_start import Beginning
from tests.beam_jobs import context, run, run_in_turn
from tests.training_flights import Made, labelled, make


@pytest.fixture(scope="module")
def late(tmp_path_factory) -> Made:
    return labelled(make(tmp_path_factory.mktemp("made")), tmp_path_factory.mktemp("late"), "late")


def compiled(data, rate=0.01, units=0):
    """A very small model over the numbers."""
    inputs = data.inputs()
    hidden = keras.layers.Concatenate()([inputs[name] for name in data.numeric_features])
    if units:
        hidden = keras.layers.Dense(units, "relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(hidden))
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy", metrics=["AUC"], run_eagerly=True)
    return model


def build_model(data, hp):
    if hp.Choice("kind", ["wide", "deep"]) == "wide":
        return compiled(data, hp.Float("rate", 1e-3, 1e-1, sampling="log"))
    return compiled(data, hp.Float("rate", 1e-3, 1e-1, sampling="log"), hp.Int("units", 4, 8, step=4))


def tune(made: Made, folder: Path, function=build_model, *, resume: Path | None = None, **more) -> HyperParameters:
    user = UserFunction.of(function, name="tuner_fn", call="tune")
    given = {"tuner_fn": user} if isinstance(function, str) else {"build_model": user}
    step = TuneStep(
        **{
            "id": "tune", "graph": Ref("preprocess", TransformGraph), "examples": Ref("from_csv", Examples),
            "schema": Ref("infer_schema", Schema), "train_split": "train", "validation_split": "eval", "trials": 3,
            "objective": "val_auc", "direction": "max", "batch_size": 120, "seed": 5, **given, **more,
        }
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    where = Context("tune", str(folder), resume=None if resume is None else str(resume))
    graph, schema = TransformGraphInput("graph", artifact=made.graph), SchemaInput("schema", artifact=made.schema)
    return HyperParameters(run_in_turn(Tune(step, where, graph, schema)), "h", "tune")


def take(file: Path, folder: Path) -> HyperParameters:
    step = WithHyperparametersStep(id="with_hyperparameters", path=str(file))
    component = WithHyperparameters(step, context(folder, "with_hyperparameters"))
    return HyperParameters(run(component), "h", "with_hyperparameters")


def test_a_search_leaves_its_best_and_goes_on_after_what_was_finished(late, tmp_path) -> None:
    calls = tmp_path / "calls.txt"

    def counted(data, hp):
        model = build_model(data, hp)
        with calls.open("a") as file:
            file.write(f"{hp.values['rate']}\n")
        return model

    kept = tmp_path / "resume"
    found = tune(late, tmp_path / "first", counted, resume=kept, parallel=2)
    facts = found.facts()
    assert (facts["objective"], facts["direction"], facts["algorithm"]) == ("val_AUC", "max", "random")
    assert [t["state"] for t in facts["trials"]] == ["completed"] * 3
    best = max(facts["trials"], key=lambda t: t["score"])
    assert facts["best"] == best["id"]
    assert facts["values"] == best["hyperparameters"]
    assert best["metrics"]["val_AUC"] == best["score"]
    assert all(("units" in t["hyperparameters"]) == (t["hyperparameters"]["kind"] == "deep") for t in facts["trials"])
    config = json.loads(found.best.read_text())
    assert keras_tuner.HyperParameters.from_config(config).values == facts["values"]
    assert "3 trials, best val_AUC" in found.summary()

    table = TrialsResult(found)
    assert list(table.to_frame().columns[:4]) == ["trial", "state", "score", "seconds"]
    assert "reason" not in repr(table)
    assert f"best: trial {facts['best']} by val_AUC (max)" in repr(table)

    (kept / "trials" / "1.json").unlink()
    calls.write_text("")
    again = tune(late, tmp_path / "second", counted, resume=kept, parallel=2).facts()
    assert again["trials"][0] == facts["trials"][0]
    assert [t["score"] for t in again["trials"]] == [t["score"] for t in facts["trials"]]
    ran = calls.read_text().split()[1:]  # the first learns the space
    assert [float(rate) for rate in ran] == [facts["trials"][1]["hyperparameters"]["rate"]]


def test_a_grid_covers_what_depends_on_another(late, tmp_path) -> None:
    def grid(data, hp):
        return compiled(data, 0.1, hp.Choice("units", [4, 8]) if hp.Choice("kind", ["wide", "deep"]) == "deep" else 0)

    facts = tune(late, tmp_path / "out", grid, algorithm="grid", trials=20, parallel=2).facts()
    tried = {tuple(sorted(t["hyperparameters"].items())) for t in facts["trials"]}
    wide, deep = (("kind", "wide"),), [(("kind", "deep"), ("units", units)) for units in (4, 8)]
    assert tried == {wide, *deep}
    assert "nothing else to try" in " ".join(facts["notes"])


def test_hyperband_goes_on_from_earlier_weights(late, tmp_path) -> None:
    facts = tune(late, tmp_path / "out", algorithm="hyperband", epochs=3, trials=6, parallel=3).facts()
    own = [t["hyperparameters"] for t in facts["trials"]]
    later = [hp for hp in own if "tuner/trial_id" in hp]
    assert len(own) == 6
    assert later[0]["tuner/initial_epoch"] == 1
    assert later[0]["tuner/epochs"] == 3
    assert not any(name.startswith("tuner/") for name in facts["values"])


def test_bayesian(late, tmp_path) -> None:
    pytest.importorskip("sklearn")
    facts = tune(late, tmp_path / "out", algorithm="bayesian", trials=4).facts()
    assert len(facts["trials"]) == 4


def test_what_fails_is_recorded_and_the_rest_goes_on(late, tmp_path) -> None:
    def fragile(data, hp):
        kind = hp.Choice("kind", ["good", "raises", "nan"])
        if kind == "raises":
            raise ValueError("no such layer")
        return compiled(data, math.nan if kind == "nan" else 0.1)

    facts = tune(late, tmp_path / "out", fragile, algorithm="grid", trials=3).facts()
    good, raises, nan = facts["trials"]
    assert (good["state"], raises["state"], nan["state"]) == ("completed", "failed", "failed")
    assert "ValueError: no such layer" in raises["reason"]
    assert f"{__file__}:" in raises["reason"]
    assert "NaN" in nan["reason"]
    assert nan["score"] is None
    assert nan["hyperparameters"] == {"kind": "nan"}
    assert facts["values"] == {"kind": "good"}
    assert "2 failed" in HyperParameters(tmp_path / "out", "h", "tune").summary()
    assert "no such layer" in repr(TrialsResult(HyperParameters(tmp_path / "out", "h", "tune")))


def test_a_search_whose_trials_all_fail_leaves_nothing(late, tmp_path) -> None:
    def broken(data, hp):
        hp.Float("rate", 0, 1)
        return compiled(data, math.nan)

    with pytest.raises(TrainingError, match=r"None of 2 trials finished. Trial 0: .*NaN"):
        tune(late, tmp_path / "out", broken, trials=2)
    assert not list((tmp_path / "out").glob("[a-z]*"))


def test_a_search_that_never_improves_says_so(late, tmp_path) -> None:
    def constant(data, hp):
        hp.Float("unused", 0, 1)
        return compiled(data)

    found = tune(late, tmp_path / "out", constant, trials=2)
    assert "Every trial has the same val_AUC" in found.facts()["notes"][0]
    assert "nothing was improved" in repr(TrialsResult(found))


def test_an_objective_that_the_model_does_not_report(late, tmp_path) -> None:
    with pytest.raises(TrainingError, match=r"no 'val_acu'.*val_AUC, val_loss") as caught:
        tune(late, tmp_path / "out", objective="val_acu")
    assert caught.value.valid == ("AUC", "loss", "val_AUC", "val_loss")
    with pytest.raises(TrainingError, match="Did you mean 'val_loss'"):
        tune(late, tmp_path / "out", objective="val_los")


def test_nothing_to_tune(late, tmp_path) -> None:
    with pytest.raises(UserCodeError, match="declares no hyperparameter"):
        tune(late, tmp_path / "out", lambda data, hp: compiled(data))


MODULE = """
from typing import Any, NamedTuple

import keras
import keras_tuner
import tensorflow_transform as tft
from tfx_bsl.public import tfxio


class TunerFnResult(NamedTuple):
    tuner: Any
    fit_kwargs: dict


def _rows(files, fn_args, output):
    options = tfxio.TensorFlowDatasetOptions(batch_size=64, label_key="late")
    dataset = fn_args.data_accessor.tf_dataset_factory(files, options, output.transformed_metadata.schema)
    return dataset.map(lambda features, label: ({"distance_scaled": features["distance_scaled"]}, label))


def _build(hp):
    distance = keras.Input((1,), name="distance_scaled")
    model = keras.Model({"distance_scaled": distance}, keras.layers.Dense(1, activation="sigmoid")(distance))
    rate = hp.Choice("rate", [0.1, 0.01, RATE])
    if rate > 1:
        raise ValueError("too fast")
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy", run_eagerly=True)
    return model


def tuner_fn(fn_args):
    output = tft.TFTransformOutput(fn_args.transform_graph_path)
    tuner = keras_tuner.GridSearch(
        _build, objective="val_loss", max_trials=3, directory=fn_args.working_dir, project_name="rate"
    )
    return TunerFnResult(tuner, {
        "x": _rows(fn_args.train_files, fn_args, output), "validation_data": _rows(fn_args.eval_files, fn_args, output),
        "steps_per_epoch": fn_args.train_steps, "validation_steps": fn_args.eval_steps,
    })
"""


def test_a_tuner_fn_in_a_module_file(late, tmp_path) -> None:
    module = tmp_path / "taxi_tuner.py"
    module.write_text(MODULE.replace("RATE", "2.0"))
    found = tune(late, tmp_path / "out", str(module), resume=tmp_path / "resume")
    facts = found.facts()
    assert (facts["objective"], facts["direction"], facts["algorithm"]) == ("val_loss", "min", "GridSearch")
    assert [t["state"] for t in facts["trials"]] == ["completed", "completed", "failed"]
    assert facts["trials"][2]["reason"] == "ValueError: too fast"
    assert facts["values"]["rate"] in (0.1, 0.01)
    assert read(found.best)["values"] == facts["values"]
    assert (tmp_path / "resume" / "tuner" / "rate" / "oracle.json").is_file()


def test_a_tuner_fn_with_a_model_of_keras_2(late, tmp_path) -> None:
    module = tmp_path / "taxi_tuner.py"
    module.write_text(MODULE.replace("RATE", "0.5").replace("import keras\n", "import tf_keras as keras\n"))
    with pytest.raises(UserCodeError, match="Keras 3 here: build the model with `import keras`"):
        tune(late, tmp_path / "out", str(module))


def test_a_tuner_fn_whose_trials_all_fail_begins_anew(late, tmp_path) -> None:
    module = tmp_path / "taxi_tuner.py"
    module.write_text(MODULE.replace("RATE", "0.5").replace("SGD(rate)", "SGD(float('nan'))"))
    with pytest.raises(TrainingError, match=r"None of 3 trials finished\. Trial 0: Its score was no number"):
        tune(late, tmp_path / "out", str(module), resume=tmp_path / "resume")
    assert not (tmp_path / "resume" / "tuner").exists()


def test_a_tuner_fn_that_returns_no_tuner(late, tmp_path) -> None:
    module = tmp_path / "taxi_tuner.py"
    module.write_text("def tuner_fn(fn_args):\n    return fn_args.working_dir\n")
    with pytest.raises(UserCodeError, match="tuner_fn returned str, not a tuner"):
        tune(late, tmp_path / "out", str(module))


def write_config(path: Path, **values) -> Path:
    space = [{"class_name": "Fixed", "config": {"name": n, "value": v, "conditions": []}} for n, v in values.items()]
    path.write_text(json.dumps({"space": space, "values": values}))
    return path


def test_a_file_of_hyperparameters_is_taken_as_it_is(late, tmp_path) -> None:
    file = write_config(tmp_path / "best.txt", kind="deep", units=8, **{"tuner/epochs": 3})
    taken = take(file, tmp_path / "out")
    assert taken.facts()["values"] == {"kind": "deep", "units": 8}
    assert taken.facts()["trials"] == []
    assert taken.summary() == "2 hyperparameters"
    assert "units" in repr(TrialsResult(taken))
    user = UserFunction.of(build_model, name="build_model", call="train")
    _, used = build_with(user, TrainingData(late.graph), read(taken.best))
    assert used == {"kind": "deep", "rate": 1e-3, "units": 8}


def test_a_run_fn_gets_them_as_tfx_gives_them(late, tmp_path) -> None:
    def run_fn(fn_args):
        hp = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters)
        module = tf.Module()
        module.units = tf.Variable(hp.get("units"))
        tf.saved_model.save(module, fn_args.serving_model_dir)

    taken = take(write_config(tmp_path / "best.txt", units=8), tmp_path / "taken")
    step = TrainStep(
        id="train", graph=Ref("preprocess", TransformGraph), examples=Ref("from_csv", Examples),
        schema=Ref("infer_schema", Schema), run_fn=UserFunction.of(run_fn, name="run_fn", call="train"),
        train_split="train", validation_split="eval",
    )  # fmt: skip
    component = Train(
        step,
        context(tmp_path, "train"),
        TransformGraphInput("graph", artifact=late.graph),
        ExamplesInput("examples", artifact=late.examples),
        SchemaInput("schema", artifact=late.schema),
        Beginning(hyperparameters=taken),
    )
    folder = run(component)
    assert tf.saved_model.load(str(folder / "Format-Serving")).units.numpy() == 8
    assert json.loads((folder / "training.json").read_text())["hyperparameters"] == {"units": 8}


@pytest.mark.parametrize("text", ["units = 8", "[]", '{"values": {}}', '{"space": [{"a": 1}], "values": {}}'])
def test_a_file_that_holds_no_hyperparameters(text, tmp_path) -> None:
    (tmp_path / "best.txt").write_text(text)
    with pytest.raises(ArgumentError, match="hyperparameters") as caught:
        take(tmp_path / "best.txt", tmp_path / "out")
    assert caught.value.where == str(tmp_path / "best.txt")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rat": 0.01}, "never declares the hyperparameter 'rat'. There are: kind, rate. Did you mean 'rate'?"),
        ({"rate": 0.5}, "'rate' is 0.5; build_model declares a number from 0.001 to 0.1"),
        ({"kind": "deep", "units": 8.5}, "'units' is 8.5; build_model declares a whole number from 4 to 8"),
        ({"kind": "deepest"}, "'kind' is 'deepest'; build_model declares one of 'wide', 'deep'"),
    ],
)
def test_hyperparameters_of_another_model(values, said, late, tmp_path) -> None:
    user = UserFunction.of(build_model, name="build_model", call="train")
    config = read(write_config(tmp_path / "best.txt", **values))
    with pytest.raises(TrainingError) as caught:
        build_with(user, TrainingData(late.graph), config, where="best.txt")
    assert said in str(caught.value)


def test_values_that_other_choices_would_declare_are_no_error(late, tmp_path) -> None:
    user = UserFunction.of(build_model, name="build_model", call="train")
    config = read(write_config(tmp_path / "best.txt", kind="wide", units=8))
    _, used = build_with(user, TrainingData(late.graph), config)
    assert used == {"kind": "wide", "rate": 1e-3}
