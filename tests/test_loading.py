"""The command line finds a pipeline in a user's file."""

import pytest

from fluent_pipe.errors import ArgumentError, UserCodeError
from fluent_pipe.loading import load

FILE = """
import fluent_pipe as fp
EPOCHS = 1
COLUMNS: list = ["a"]
def make():
    return fp.Pipeline("made").from_csv("a.csv")
flights = make().generate_statistics().infer_schema().preprocess(label="y").train(epochs=EPOCHS)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pipeline.py"
    path.write_text(FILE)
    return path


def test_the_only_pipeline_is_meant(file):
    assert load(str(file), {}).steps[-1].epochs == 1


def test_a_function_may_make_it(file):
    assert len(load(f"{file}:make", {}).steps) == 1


def test_settings_take_the_place_of_globals(file):
    assert load(str(file), {"EPOCHS": 7, "COLUMNS": ["b"]}).steps[-1].epochs == 7


def test_the_root_can_be_given(file, tmp_path):
    assert load(str(file), {}, tmp_path / "there").root == tmp_path / "there"


@pytest.mark.parametrize(
    ("reference", "settings", "says"),
    [
        ("{}", {"EPOCH": 7}, "Did you mean 'EPOCHS'?"),
        ("{}:flight", {}, "Did you mean 'flights'?"),
        ("nowhere.py", {}, "There is no file 'nowhere.py'"),
    ],
)
def test_what_is_not_there_is_named(file, reference, settings, says):
    with pytest.raises(ArgumentError) as error:
        load(reference.format(file), settings)
    assert says in str(error.value)


def test_a_file_that_raises_is_the_users(file):
    file.write_text("1 / 0\n")
    with pytest.raises(UserCodeError, match="ZeroDivisionError"):
        load(str(file), {})
    file.write_text("def f(:\n")
    with pytest.raises(UserCodeError, match=r"pipeline\.py:1"):
        load(str(file), {})


def test_a_file_that_runs_its_pipeline_is_told_not_to(file):
    file.write_text(FILE + "flights.run()\n")
    with pytest.raises(ArgumentError, match=r"Take .run.. out"):
        load(str(file), {})


def test_a_function_that_raises_is_the_users(file):
    file.write_text("def make():\n    return {}['pipeline']\n")
    with pytest.raises(UserCodeError, match="KeyError"):
        load(f"{file}:make", {})


def test_two_pipelines_need_a_name(file):
    file.write_text(FILE + "other = make()\n")
    with pytest.raises(ArgumentError, match="There are: flights, other"):
        load(str(file), {})
