"""infra_validate(): a fresh process serves the model; what cannot be served well is refused, with its reason."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from fluent_pipe import progress
from fluent_pipe.artifacts import Examples, InfraBlessing, Model
from fluent_pipe.components.base import Context
from fluent_pipe.components.infra_validate import InfraValidate
from fluent_pipe.components.inputs import ExamplesInput, Input
from fluent_pipe.errors import InputError, Interrupted
from fluent_pipe.results import InfraResult
from fluent_pipe.serving import client, process
from fluent_pipe.steps.base import Ref
from fluent_pipe.steps.delivery import InfraValidate as InfraValidateStep
from tests import beam_jobs, served_models
from tests.conftest import Finished


def servers() -> list[psutil.Process]:
    """Server processes that this one has started."""
    children = psutil.Process().children(recursive=True)
    return [p for p in children if p.status() != psutil.STATUS_ZOMBIE and "fluent_pipe.serving" in p.cmdline()]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = servers()
    yield
    assert set(servers()) <= set(before)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.ServerProcess]:
    """A server that runs already."""
    model = served_models.good(tmp_path_factory.mktemp("running"))
    with process.ServerProcess(model.serving, "miles") as server:
        server.wait()
        yield server


def check(model: Model, folder: Path, *, rows: pa.Table | None = None, **more) -> InfraBlessing:
    examples = beam_jobs.examples(folder / "examples", eval=served_models.ROWS if rows is None else rows)
    return check_with(model, examples, folder, **more)


def check_with(model: Model, examples: ExamplesInput, folder: Path, **more) -> InfraBlessing:
    step = InfraValidateStep(
        **{
            "id": "infra_validate", "model": Ref("train", Model), "examples": Ref("from_csv", Examples),
            "split": "eval", "requests": 20, "max_latency_ms": 5000, "max_load_seconds": 60, **more,
        }
    )  # fmt: skip
    (folder / "staging").mkdir()
    component = InfraValidate(
        step, Context("infra_validate", str(folder / "staging")), Input("model", artifact=model), examples
    )
    return InfraBlessing(beam_jobs.run(component), "i", "infra_validate")


def reason(blessing: InfraBlessing) -> str:
    assert not blessing.facts()["blessed"]
    assert (blessing.path / "INFRA_NOT_BLESSED").exists()
    assert not blessing.serving.exists()
    (only,) = blessing.facts()["reasons"]
    return str(only)


def test_a_trained_model_is_served_as_it_was_trained(finished: Finished, tmp_path: Path) -> None:
    examples = ExamplesInput("examples", artifact=finished.run.examples.artifact)
    blessing = check_with(finished.run.model.artifact, examples, tmp_path, concurrency=2)
    facts = blessing.facts()
    assert facts["reasons"] == []
    assert (blessing.path / "INFRA_BLESSED").exists()
    assert facts["rows"] == 100
    assert facts["compared_with"] == "model.keras"
    assert facts["largest_difference"] < 1e-5
    assert 0 < facts["latency_ms"]["p50"] <= facts["latency_ms"]["p95"] <= facts["latency_ms"]["p99"]
    assert facts["requests"] == 20
    assert 0 < facts["load_seconds"] < 60
    assert facts["memory_mb"] > 50
    assert facts["limits"] == {"load_seconds": 60, "latency_ms": 5000, "memory_mb": None}
    assert "p95" in blessing.summary()
    result = InfraResult(blessing)
    assert result
    assert repr(result).startswith("infra-blessed\nfigure")

    # What is left is the model that was served, with requests that a server plays when it loads it.
    records = tf.data.TFRecordDataset(str(blessing.serving / "assets.extra" / "tf_serving_warmup_requests"))
    requests = [prediction_log_pb2.PredictionLog.FromString(r.numpy()).predict_log.request for r in records]
    assert {r.model_spec.signature_name for r in requests} == {"serving_default", "serving_raw"}
    served = tf.saved_model.load(str(blessing.serving))
    for request in requests:
        signature = served.signatures[request.model_spec.signature_name]
        answer = signature(**{name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()})
        assert tf.math.is_finite(answer["predictions"]).numpy().all()


def test_a_model_of_a_run_fn_is_compared_with_its_saved_model(tmp_path: Path) -> None:
    facts = check(served_models.several_outputs(tmp_path / "model"), tmp_path).facts()
    assert facts["blessed"], facts["reasons"]
    assert facts["compared_with"] == "the SavedModel in eager mode"
    assert facts["rows"] == 30


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (served_models.answers_nan, r"answered NaN or infinity for 5 of 30 rows .*'serving_default'.*miles=None"),
        (served_models.loads_in_eager_mode_alone, r"in eager mode alone: a server runs it in a session"),
        (served_models.needs_a_custom_op, r"not registered 'FancyRelu'.*endpoint="),
        (served_models.without_serving_default, r"no signature 'serving_default'.* There are: score\."),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_that_does_not_serve_is_refused_with_its_reason(make, said, tmp_path: Path) -> None:
    blessing = check(make(tmp_path / "model"), tmp_path)
    assert re.search(said, reason(blessing)), reason(blessing)
    assert blessing.summary() == "not infra-blessed"
    assert not InfraResult(blessing)


def test_rows_that_the_model_does_not_fit(tmp_path: Path) -> None:
    rows = pa.table({"city": ["Graz", "Linz"]})
    blessing = check(served_models.good(tmp_path / "model"), tmp_path, rows=rows)
    assert "needs column 'miles', which these rows do not have" in reason(blessing)


def test_a_split_without_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'eval' has no rows to send"):
        check(served_models.good(tmp_path / "model"), tmp_path, rows=served_models.ROWS.slice(0, 0))


def test_a_server_that_runs_already(running, tmp_path: Path) -> None:
    model = served_models.good(tmp_path / "model")
    facts = check(model, tmp_path, endpoint=running.url).facts()
    assert facts["blessed"], facts["reasons"]
    assert facts["endpoint"] == running.url
    assert facts["load_seconds"] is None
    assert facts["memory_mb"] is None


def test_a_server_that_serves_another_model(running, tmp_path: Path) -> None:
    other = served_models.save(tmp_path / "model", served_models.Served(lambda x: x + 1))
    said = reason(check(other, tmp_path, endpoint=running.url))
    assert "differ from those of the SavedModel in eager mode by up to 1 in 30 of 30 rows" in said


def test_endpoints_that_do_not_answer(running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = served_models.good(tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr("fluent_pipe.components.infra_check.ENDPOINT_SECONDS", 0.5)
        url = f"http://127.0.0.1:{port}/v1/models/miles"
        for endpoint, said in (
            (url, "did not answer within 0.5 s"),
            (running.url.replace("miles", "yards"), "knows no such model (404)"),
        ):
            folder = tmp_path / said
            folder.mkdir()
            assert said in reason(check(model, folder, endpoint=endpoint))
    (tmp_path / "gone").mkdir()
    assert "The server does not answer" in reason(check(model, tmp_path / "gone", endpoint=url))


LONG_TRIP = pa.concat_tables([served_models.ROWS, pa.table({"miles": [200.0], "city": ["Wien"]})])


@pytest.mark.slow
def test_a_model_that_hangs_while_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 20)
    said = reason(check(served_models.hangs_when_loaded(tmp_path / "model"), tmp_path, max_load_seconds=1))
    assert "did not answer for it within 21 s (20 s to start, 1 s to load), and was ended" in said


@pytest.mark.slow
def test_a_model_that_hangs_on_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_SECONDS", 2)
    said = reason(check(served_models.hangs_on_long_trips(tmp_path / "model"), tmp_path, rows=LONG_TRIP))
    assert "signature 'serving_default': The server did not answer within 2 s. The model hangs" in said


@pytest.mark.slow
def test_a_server_that_dies(tmp_path: Path) -> None:
    model = served_models.hangs_on_long_trips(tmp_path / "model")
    before = servers()
    with meanwhile(lambda: [server.kill() for server in servers() if server not in before]):
        said = reason(check(model, tmp_path, rows=LONG_TRIP))
    assert said.startswith("The server was ended by SIGKILL while it answered.")


@pytest.mark.slow
def test_ctrl_c_leaves_no_server(tmp_path: Path) -> None:
    model = served_models.hangs_on_long_trips(tmp_path / "model")
    with meanwhile(progress.request_stop), pytest.raises(Interrupted):
        check(model, tmp_path, rows=LONG_TRIP)
    progress.reset()


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Act once answers are compared, which a model that hangs on a row never gets past."""

    def watch() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if any(p.detail == "comparing answers" for p in progress.snapshot().values()):
                time.sleep(0.5)
                act()
                return
            time.sleep(0.05)

    progress.reset()
    thread = threading.Thread(target=watch)
    thread.start()
    yield
    thread.join()
