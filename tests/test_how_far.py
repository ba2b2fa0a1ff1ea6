"""Each step tells how far it is, as far as it can know; at its end it has told all."""

import keras
import pytest

import fluent_pipe as fp
from fluent_pipe import progress
from tests import trips


def build_model(data, hp):
    """As small as can be."""
    inputs = data.inputs()
    numbers = keras.layers.Concatenate()([inputs[name] for name in data.numeric_features])
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(numbers))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.SGD(rate), "binary_crossentropy", metrics=["AUC"])
    return model


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the steps of a chain had told when it had ended, and the rows of each split."""
    folder = tmp_path_factory.mktemp("how_far")
    (folder / "csv").mkdir()
    for seed in (1, 2):
        trips.write(folder / "csv" / f"{seed}.csv", trips.rows(200, seed=seed))
    source = fp.Pipeline("p", root=folder / "root").from_csv(folder / "csv" / "*.csv")
    run = source.run(progress=False)
    rows = {row["split"]: row["rows"] for row in run.examples.rows()}
    told = {"from_csv": progress.snapshot()["from_csv"]}
    chain = (
        source.generate_statistics()
        .infer_schema()
        .preprocess(label="tipped")
        .tune(build_model, objective="val_auc", trials=2, parallel=2, epochs=1)
        .train(build_model, epochs=8, early_stopping=1)
        .evaluate()
    )
    chain.run(progress=False)
    return {**progress.snapshot(), **told}, rows


def test_a_source_tells_what_part_of_its_files_is_read(told):
    assert told[0]["from_csv"] == progress.Progress(400, part=1.0)


def test_steps_on_stored_rows_know_how_many_there_are(told):
    steps, rows = told
    assert (steps["generate_statistics"].rows, steps["generate_statistics"].total) == (400, 400)
    assert (steps["evaluate"].rows, steps["evaluate"].total) == (rows["eval"], rows["eval"])


def test_preprocess_counts_both_passes(told):
    assert told[0]["preprocess"].rows == 400
    assert told[0]["preprocess"].fraction == pytest.approx(1.0)


def test_tune_counts_trials_and_what_is_done_of_them(told):
    assert told[0]["tune"].fraction == pytest.approx(1.0)


def test_train_has_done_all_where_it_stopped_early_too(told):
    assert told[0]["train"].fraction == 1.0
    assert told[0]["train"].detail == "exporting"
