"""One suite over runners: the same expression leaves the same results, in this process, embedded and on clusters."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.runners.places import HERE
from tests.runners.ran import REFERENCE, SPLITS, Ran

# Threads of Beam's workers in this process end with an error when the runner hangs up; the run has ended by then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

EVERY = [
    *(pytest.param(name, id=name) for name in HERE if name != REFERENCE),
    # The first test of a runner waits for the whole chain.
    pytest.param("flink cluster", id="flink cluster", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    pytest.param("spark cluster", id="spark cluster", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
]


@pytest.fixture
def reference(results) -> Ran:
    return results.of(REFERENCE)


@pytest.fixture(params=EVERY)
def ran(request, results, reference) -> Ran:
    return results.of(request.param)


def test_the_whole_chain_is_run_there(ran):
    assert ran.run.state == "succeeded"
    assert "cached" not in {row["state"] for row in ran.run.timings.rows()}
    assert ran.run.pushed.version == 1


def test_each_row_is_in_the_same_split(ran, reference):
    for split in SPLITS:
        rows = ran.rows(split)
        assert rows.equals(reference.rows(split))
        assert rows.num_rows > 500


def test_statistics_are_equal(ran, reference):
    for split in SPLITS:
        assert ran.statistics(split) == reference.statistics(split)


def test_quantiles_are_as_near_as_a_sketch_of_them_can_be(ran, reference):
    # TFDV adds up sketches; how rows came in batches shows in what they leave out.
    for split in SPLITS:
        for name, quantiles in ran.quantiles(split).items():
            np.testing.assert_allclose(quantiles, reference.quantiles(split)[name], atol=0.02)


def test_schema_and_anomalies_are_equal(ran, reference):
    assert ran.run.schema.proto() == reference.run.schema.proto()
    assert ran.run.anomalies.rows() == reference.run.anomalies.rows()


def test_transformed_rows_are_equal(ran, reference):
    for split in SPLITS:
        rows, expected = ran.transformed(split), reference.transformed(split)
        assert rows.keys() == expected.keys()
        for name, values in rows.items():
            compare = np.testing.assert_allclose if values.dtype.kind == "f" else np.testing.assert_array_equal
            compare(values, expected[name], **({"rtol": 1e-5, "atol": 1e-6} if values.dtype.kind == "f" else {}))


def test_the_graph_says_the_same_of_its_features(ran, reference):
    assert ran.run.transform.artifact.facts() == reference.run.transform.artifact.facts()
    assert ran.vocabularies() == reference.vocabularies()


def test_the_same_model_has_the_same_metrics(ran, reference):
    slices, expected = ran.metrics(), reference.metrics()
    assert slices.keys() == expected.keys()
    assert len(slices) > 30
    for name, metrics in slices.items():
        assert metrics == pytest.approx(expected[name], abs=1e-6, nan_ok=True), name


def test_the_same_model_is_blessed_for_the_same_reasons(ran, reference):
    assert ran.judged.blessing.blessed == reference.judged.blessing.blessed
    assert ran.judged.blessing.rows() == reference.judged.blessing.rows()
    assert ran.run.blessing.blessed


def test_predictions_of_the_same_model_are_equal(ran, reference):
    (number, chance), (same, expected) = ran.predictions(), reference.predictions()
    np.testing.assert_array_equal(number, same)
    np.testing.assert_allclose(chance, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("step", ["from_csv", "filter", "generate_statistics", "preprocess", "evaluate", "bulk_infer"])
def test_every_task_manager_does_part_of_each_data_step(results, step):
    spread = results.of("flink cluster").task_managers
    assert max(len(read) for label, read in spread.items() if step in label) == 2, json.dumps(spread, indent=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_more_than_one_worker_process_filters_rows(results):
    assert len(results.of("flink cluster").processes) > 1
