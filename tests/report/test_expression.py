"""A chain as Python text: what it says runs, and makes the same chain again."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest

import fluent_pipe as fp
from fluent_pipe.report.blanking import blanked
from fluent_pipe.report.expression import MOST_TEXT, arguments, python_text

MODULE = """
def preprocessing_fn(inputs):
    return inputs

def build_model(data, hp):
    return None

def enough(run):
    return True

def tell(run):
    return None
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module of the user's."""
    (tmp_path / "own_features.py").write_text(MODULE)
    (tmp_path / "schema.pbtxt").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield importlib.import_module("own_features")
    sys.modules.pop("own_features")


def test_the_text_makes_the_same_chain(functions, tmp_path):
    chain = (
        fp.Pipeline("flights", root=tmp_path / "root")
        .from_csv({"train": "a.csv", "eval": ["b.csv", "c.csv"]}, types={"day": "date"}, null_values=["", "-"])
        .generate_statistics(slices=["carrier", ["origin", "month"]], sample=0.5)
        .infer_schema(max_domain=20)
        .validate(drift=fp.jensen_shannon(0.1), skew={"day": fp.infinity_norm(0.01)}, on_anomaly="warn")
        .preprocess(functions.preprocessing_fn, label="late")
        .tune(functions.build_model, objective="val_auc", resources=fp.Resources(gpu=1, memory="4GB"))
        .cache(False)
        .train(functions.build_model, epochs=2, class_weights={0: 1.0, 1: 4.0}, warm_start="latest")
        .when(functions.enough)
        .evaluate(
            slices="auto",
            require={
                "auc": [fp.at_least(0.65), fp.change_at_least(-0.01, relative=True)],
                "binary_crossentropy": fp.at_most(1, slices="carrier"),
            },
            baseline="20260102-030405-1a2b3c4d",
        )
        .infra_validate(max_latency_ms=None)
        .approve(wait=False)
        .push_to("serving", keep=3)
        .bulk_infer(fp.Pipeline("rows").from_csv("*.csv", delimiter=";"), to="out", keep=["day"], format="csv")
        .on_success(functions.tell)
    )
    text = python_text(chain)
    again = eval(f"({text})", {"fp": fp})
    assert python_text(again) == text
    assert [(s.id, s.cached, arguments(s)) for s in again.steps] == [
        (s.id, s.cached, arguments(s)) for s in chain.steps
    ]
    plain = {s.id: s.arguments() for s in chain.steps if s.id in ("from_csv", "validate", "evaluate", "infra_validate")}
    assert {s.id: s.arguments() for s in again.steps if s.id in plain} == plain


def test_defaults_are_left_out():
    chain = fp.Pipeline("flights").from_csv("a.csv", delimiter=",").generate_statistics().infer_schema()
    assert python_text(chain) == (
        'fp.Pipeline("flights")\n    .from_csv("a.csv")\n    .generate_statistics()\n    .infer_schema()'
    )


def test_what_is_no_text_stands_for_itself():
    def local(batch):
        return batch

    chain = fp.Pipeline("p").from_pandas(pd.DataFrame({"a": [1]})).filter(local).map(lambda batch: batch)
    lines = python_text(chain).splitlines()
    assert lines[1] == "    .from_pandas(frame)"
    assert lines[2] == "    .filter(local)"
    assert lines[3].startswith("    .map(<<lambda> (")


def test_long_values_are_shortened():
    text = python_text(fp.Pipeline("p").from_csv("a" * 5000, null_values=[str(n) for n in range(500)]))
    assert len(text) < 3 * MOST_TEXT + 400
    assert "... and 480 more" in text


def test_passwords_are_not_told():
    class Told(fp.Artifact):
        pass

    @fp.component(outputs=Told)
    def tell(examples: fp.Examples, out: Path, api_key: str, url: str) -> None:
        """Tell."""

    chain = (
        fp.Pipeline("p", metadata="mysql://me:hunter2@db:3306/ml")
        .from_csv("a.csv")
        .apply(tell(api_key="hunter2", url="https://me:hunter2@host/hook?token=hunter2"))
    )
    everything = python_text(chain) + "".join(str(arguments(s)) for s in chain.steps)
    assert "hunter2" not in everything
    assert 'metadata="mysql://me:***@db:3306/ml"' in everything


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("postgresql://me:p@ss:word@db/ml", "postgresql://me:***@db/ml"),
        ("gs://bucket/path:with@colon", "gs://bucket/path:with@colon"),
        ("at 12:30 me@host", "at 12:30 me@host"),
        ("tokenize data.csv", "tokenize data.csv"),
    ],
)
def test_blanked(text, wanted):
    assert blanked(text) == wanted
