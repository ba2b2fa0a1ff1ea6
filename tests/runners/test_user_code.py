"""Functions of a script and of a module file, at work in other processes that cannot import them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import fluent_pipe as fp
from fluent_pipe.errors import RunnerError, UserCodeError
from fluent_pipe.steps import carrying
from tests.runners.worker_pool import WorkerPool

PROJECT = Path(__file__).parents[2]

BESIDE = """
import json

FACTOR = 3


class Report:
    def __init__(self, rows):
        self.rows = rows

    def write(self, path):
        path.write_text(json.dumps({"rows": self.rows, "factor": FACTOR}))


def times(column):
    import pyarrow.compute as pc

    return pc.multiply(column, FACTOR)
"""

SCRIPT = """
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import beside
import fluent_pipe as fp
from beside import Report

DRIVER = os.getpid()
LEAST = 3.0


@dataclass
class Limits:
    most: float


def elsewhere():
    assert os.getpid() != DRIVER


def keep_up_to(limits):
    def keep(batch):
        elsewhere()
        return pc.and_(pc.greater_equal(batch["miles"], LEAST), pc.less_equal(batch["miles"], limits.most))

    return keep


def tripled(batch):
    elsewhere()
    return pa.RecordBatch.from_arrays([beside.times(batch["miles"])], ["miles"])


def preprocessing_fn(inputs):
    import tensorflow as tf
    import tensorflow_transform as tft

    far = LEAST * beside.FACTOR * 2
    return {"miles": tft.scale_to_z_score(inputs["miles"]), "far": tf.cast(inputs["miles"] > far, tf.int64)}


def build_model(data, hp):
    import keras

    elsewhere()
    inputs = data.inputs()
    model = keras.Model(inputs, keras.layers.Dense(1, "sigmoid")(keras.layers.Reshape((1,))(inputs["miles"])))
    model.compile("adam", "binary_crossentropy")
    return model


class Counted(fp.Artifact):
    facts_file = "counted.json"


@fp.component(outputs=Counted)
def counted(examples: fp.Examples, out: Path) -> None:
    elsewhere()
    Report(LEAST).write(out / "counted.json")


def pipeline(folder):
    return (
        fp.Pipeline("script", root=folder / "root")
        .from_csv(folder / "miles.csv", splits={"train": 8, "eval": 2})
        .filter(keep_up_to(Limits(most=11.0)))
        .map(tripled)
        .generate_statistics()
        .infer_schema()
        .preprocess(preprocessing_fn, label="far")
        .train(build_model, epochs=1, batch_size=64)
        .apply(counted)
    )


if __name__ == "__main__":
    folder, project = map(Path, sys.argv[1:])
    sys.path.append(str(project))
    from tests.runners.worker_pool import WorkerPool

    run = pipeline(folder).run(runner=WorkerPool(), progress=False)
    print(run.state, run.artifact(Counted).facts())
"""


CELLS = r"""
import sys
from IPython.core.interactiveshell import InteractiveShell

folder, project = sys.argv[1:]
sys.path.append(project)
notebook = InteractiveShell.instance()
for cell in (
    "import os",
    "DRIVER, LEAST = os.getpid(), 5.0",
    "def far(batch):\n    assert os.getpid() != DRIVER\n    return [m >= LEAST for m in batch['miles'].to_pylist()]",
    "import fluent_pipe as fp\nfrom tests.runners.worker_pool import WorkerPool",
    f"data = fp.Pipeline('cells', root='{folder}/root').from_csv('{folder}/miles.csv')",
    "print(data.filter(far).run(runner=WorkerPool(), progress=False).state)",
):
    notebook.run_cell(cell).raise_error()
"""


def run_script(folder, name):
    """What a script of the folder prints last; in a process of its own, as its functions are those of ``__main__``."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", name, str(folder), str(PROJECT)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with data, a script, and a module beside it."""
    monkeypatch.delitem(sys.modules, "beside", raising=False)  # that of another test
    pd.DataFrame({"miles": [float(n % 13) for n in range(2000)]}).to_csv(tmp_path / "miles.csv", index=False)
    (tmp_path / "beside.py").write_text(BESIDE)
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


@pytest.mark.slow
def test_functions_of_a_script_take_their_globals_closures_and_modules_beside_it_to_other_processes(folder):
    assert run_script(folder, "script.py") == "succeeded {'rows': 3.0, 'factor': 3}"


def test_functions_of_a_notebooks_cells_go_to_another_process(folder):
    (folder / "cells.py").write_text(CELLS)
    assert run_script(folder, "cells.py") == "succeeded"


@pytest.fixture
def miles(folder):
    return fp.Pipeline("miles", root=folder / "root").from_csv(folder / "miles.csv")


@pytest.mark.parametrize(
    "runner", [WorkerPool(), fp.runners.Direct(workers=2, mode="multi_processing")], ids=["pool", "multi_processing"]
)
def test_a_module_file_goes_to_other_processes_by_value_with_the_module_beside_it(folder, miles, runner):
    (folder / "rows.py").write_text(
        "import importlib.util\n"
        "import pyarrow as pa\n"
        "from beside import times\n"
        "def map_rows(batch):\n"
        "    assert importlib.util.find_spec('beside') is None\n"
        "    return pa.RecordBatch.from_arrays([times(batch['miles'])], ['miles'])\n"
    )
    run = miles.map(str(folder / "rows.py")).run(runner=runner, progress=False)
    assert max(max(run.examples.table(row["split"])["miles"].to_pylist()) for row in run.examples.rows()) == 36.0


def test_what_cannot_travel_is_an_error_that_says_so_before_anything_runs(miles):
    import threading

    lock = threading.Lock()
    pipeline = miles.filter(lambda batch: lock and [True] * batch.num_rows)
    with pytest.raises(UserCodeError, match=r"cannot be sent to workers.*lock"):
        pipeline.run(runner=WorkerPool(), progress=False)


def test_a_module_beside_the_script_that_a_function_imports_itself_is_named_with_what_to_do(folder, miles, monkeypatch):
    monkeypatch.syspath_prepend(folder)

    def tripled(batch):
        from beside import times

        return times(batch["miles"])

    with pytest.raises(RunnerError, match=r"lack the module 'beside'.*Import what you need of it at the top") as caught:
        miles.map(tripled).run(runner=WorkerPool(), progress=False)
    assert caught.value.step == "map"
    assert caught.value.where == str(folder / "beside.py")


def test_a_package_that_only_this_machine_has_is_named_with_what_to_do(miles, tmp_path):
    # The pool's processes refuse to import rich, which is installed here: a worker without the package.
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "rich.py").write_text("raise ModuleNotFoundError(\"No module named 'rich'\", name='rich')")

    def bold(batch):
        import rich

        return batch if rich else None

    with pytest.raises(RunnerError, match=r"lack the package 'rich', which is installed here") as caught:
        miles.map(bold).run(runner=WorkerPool({"PYTHONPATH": str(blocked)}), progress=False)
    assert caught.value.step == "map"
    assert 'requirements=["rich==' in str(caught.value)


def test_a_package_that_is_nowhere_is_the_users_own_error(miles):
    def never(batch):
        import not_anywhere

        return not_anywhere.of(batch)

    with pytest.raises(UserCodeError, match="No module named 'not_anywhere'"):
        miles.map(never).run(runner=WorkerPool(), progress=False)


def test_modules_are_carried_by_value_only_while_work_is_elsewhere(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    import beside

    here = carrying.dumps(beside.times)
    with carrying.elsewhere():
        there = carrying.dumps(beside.times)
        assert len(there) > len(here)
    assert carrying.dumps(beside.times) == here
