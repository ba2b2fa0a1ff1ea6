"""What goes wrong is the same error on every runner: its type, its step, its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fluent_pipe as fp
from fluent_pipe.errors import AnomaliesFound, FluentPipeError, InputError, UserCodeError
from fluent_pipe.runners.base import Runner
from fluent_pipe.runners.job_server import JobServer
from tests import needs, trips
from tests.runners.places import in_process, in_threads, standalone_flink

# Threads of Beam's workers in this process end with an error when the runner hangs up; the run has ended by then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

FILE = Path(__file__).name


def dislikes_a_row(batch: Any) -> Any:
    if 777 in batch["number"].to_pylist():
        raise ValueError("number 777 is not liked")
    return batch["number"].is_valid()


def misspells(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"miles": inputs["milles"], "tipped": inputs["tipped"]}


def reads_codes_as_numbers(inputs: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    return {"code": tf.strings.to_number(inputs["code"]), "tipped": inputs["tipped"]}


def knows_two_cities(schema: Any) -> None:
    city = next(feature for feature in schema.feature if feature.name == "city")
    values = next((d for d in schema.string_domain if d.name == city.domain), city.string_domain).value
    values.remove("Linz")


FAILURES: dict[str, tuple[Callable[[fp.Pipeline], fp.Pipeline], type[FluentPipeError], str, list[str]]] = {
    "rows": (lambda p: p, InputError, "from_csv", ["cannot be read", "bad.csv:"]),
    "filter": (
        lambda p: p.filter(dislikes_a_row).generate_statistics(),
        UserCodeError,
        "filter",
        ["dislikes_a_row", f"{FILE}:", "number 777 is not liked"],
    ),
    "gate": (
        lambda p: p.generate_statistics().infer_schema().curate_schema(knows_two_cities).validate(),
        AnomaliesFound,
        "validate",
        ["city", "Linz"],
    ),
    "graph": (
        lambda p: p.generate_statistics().infer_schema().preprocess(misspells, label="tipped"),
        UserCodeError,
        "preprocess",
        ["misspells", f"{FILE}:", "milles"],
    ),
    "values": (
        lambda p: p.generate_statistics().infer_schema().preprocess(reads_codes_as_numbers, label="tipped"),
        UserCodeError,
        "preprocess",
        ["reads_codes_as_numbers", f"{FILE}:", "seven"],
    ),
}


@pytest.fixture(scope="module")
def csv_files(tmp_path_factory) -> Path:
    """Trips in several files; of the one for the failure to read them, half the rows are cut short."""
    folder = tmp_path_factory.mktemp("csv")
    rows = [{"number": n, "code": "seven" if n == 777 else f"{n}", **trip} for n, trip in enumerate(trips.rows())]
    for file in range(4):
        trips.write(folder / f"trips-{file}.csv", rows[file::4])
    (folder / "bad.csv").write_text("number,city\n" + "".join(f"{n},Graz\n{n}\n" for n in range(50)))
    return folder


@pytest.fixture(scope="module", params=["direct threads", "flink", "spark"])
def runner(request, tmp_path_factory) -> Iterator[Runner]:
    """One job server takes the jobs of all tests."""
    folder = tmp_path_factory.mktemp("runner")
    if request.param == "direct threads":
        with in_threads(folder) as found:
            yield found
        return
    jar = needs.job_server(request.param)
    master = {"spark": "local[2]", "flink": "[local]"}[request.param]
    with getattr(JobServer, request.param)(jar, log=folder / "log.txt", master=master) as server:
        yield fp.runners.Portable(server.endpoint, parallelism=2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Runner]:
    with standalone_flink(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def expected(csv_files, tmp_path_factory) -> Callable[[str], FluentPipeError]:
    """Each failure as it is in this process."""
    known: dict[str, FluentPipeError] = {}

    def of(failure: str) -> FluentPipeError:
        if failure not in known:
            with in_process(csv_files) as here:
                known[failure] = failed(failure, here, csv_files, tmp_path_factory.mktemp("here"))
        return known[failure]

    return of


def failed(failure: str, runner: Runner, csv_files: Path, root: Path) -> FluentPipeError:
    """The error that a run ends in."""
    build, kind, step, words = FAILURES[failure]
    files = csv_files / ("bad.csv" if failure == "rows" else "trips-*.csv")
    pipeline = build(fp.Pipeline("trips", root=root).from_csv(str(files)))
    with pytest.raises(kind) as caught:
        pipeline.run(runner, progress=False)
    error = caught.value
    assert error.step == step
    assert "Traceback" not in str(error)
    assert [word for word in words if word not in str(error)] == []
    states = {p.step.id: p.state for p in pipeline.plan().steps}
    assert states[step] != "cached" or kind is AnomaliesFound  # what a gate found is kept
    return error


def check_same(error: FluentPipeError, expected: FluentPipeError) -> None:
    assert type(error) is type(expected)
    assert str(error) == str(expected)


@pytest.mark.parametrize("failure", FAILURES)
def test_the_error_is_the_same(failure, runner, csv_files, tmp_path, expected):
    check_same(failed(failure, runner, csv_files, tmp_path), expected(failure))


@pytest.mark.slow
@pytest.mark.parametrize("failure", ["graph"])  # a user's code on a worker that is a process, and far
def test_the_error_is_the_same_from_a_cluster(failure, cluster, csv_files, tmp_path, expected):
    check_same(failed(failure, cluster, csv_files, tmp_path), expected(failure))
