"""Every prefix of a chain shows itself: what is missing runs, the last step's result is drawn."""

import json
from pathlib import Path

import pytest

import fluent_pipe as fp
from fluent_pipe.errors import AnomaliesFound, ArgumentError, FluentPipeError, StepFailed
from fluent_pipe.results import OwnResult, StatisticsResult, result_of
from tests import trips
from tests.test_imports import HEAVY, in_fresh_process


class Notes(fp.Artifact):
    facts_file = "notes.json"

    def summary(self):
        return f"{len(self.facts())} notes"


@fp.component(outputs=Notes)
def take_notes(examples: fp.Examples, out: Path) -> None:
    (out / "notes.json").write_text(json.dumps({"rows": 300, "long": "<b>" * 100, "splits": ["train", "eval"]}))


def only_mornings(schema):
    """A schema that the data does not keep to."""
    hour = next(feature for feature in schema.feature if feature.name == "hour")
    hour.int_domain.min, hour.int_domain.max = 0, 11
    return schema


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("show")
    csv = trips.write(folder / "trips.csv", trips.rows(300))
    return fp.Pipeline("p", root=folder / "root").from_csv(csv).generate_statistics()


def test_what_is_missing_runs_and_the_result_is_drawn_at_once_the_second_time(statistics, capfd):
    statistics.show()
    first = capfd.readouterr()
    assert "miles" in first.out
    assert "generate_statistics" in first.err
    statistics.show()
    second = capfd.readouterr()
    assert second.out == first.out
    assert second.err == ""
    statistics.show(progress=False, refresh="generate_statistics")
    assert capfd.readouterr() == first._replace(err="")


def test_a_cached_show_loads_nothing_heavy(statistics, tmp_path):
    statistics.show(progress=False)
    csv = statistics.root.parent / "trips.csv"
    code = f"""
import json, sys
import fluent_pipe as fp
fp.Pipeline("p", root={str(statistics.root)!r}).from_csv({str(csv)!r}).generate_statistics().show()
print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))
"""
    assert in_fresh_process(code, tmp_path) == []


def test_options_go_to_the_result(statistics, monkeypatch):
    asked = []
    monkeypatch.setattr(
        StatisticsResult, "show", lambda self, *, column=None: asked.append((self.artifact.step, column))
    )
    statistics.show(column="miles", progress=False)
    assert asked == [("generate_statistics", "miles")]


def test_an_option_that_the_result_does_not_take_is_refused_before_anything_runs(tmp_path):
    chain = fp.Pipeline("p", root=tmp_path / "root").from_csv("nowhere.csv")
    with pytest.raises(ArgumentError, match=r"from_csv leaves .*colour=.*runner, refresh, progress"):
        chain.show(colour="red")
    with pytest.raises(ArgumentError, match="refresh= names no step 'train'"):
        chain.show(refresh="train")
    assert not (tmp_path / "root").exists()


def test_anomalies_are_drawn_and_raised(statistics, capsys):
    chain = statistics.infer_schema().curate_schema(only_mornings).validate()
    for _ in range(2):  # the second time they are known
        with pytest.raises(AnomaliesFound) as error:
            chain.show(progress=False)
        assert "hour" in capsys.readouterr().out
        assert error.value.left.facts()["anomalies"]
    with pytest.raises(AnomaliesFound):
        chain.preprocess(label="tipped").show(progress=False)
    assert "hour" in capsys.readouterr().out


def test_what_a_component_of_one_s_own_left_is_shown(statistics, capsys):
    statistics.apply(take_notes).show(progress=False)
    out = capsys.readouterr().out
    assert out.startswith("Notes of take_notes: 3 notes\n")
    assert "300" in out
    assert "…" in out


def test_a_step_that_was_skipped_says_why(statistics, capsys):
    chain = statistics.when(lambda run: False).infer_schema()
    chain.show(progress=False)
    assert "infer_schema was skipped" in capsys.readouterr().out
    with pytest.raises(StepFailed, match="infer_schema left nothing in this run"):
        chain.run(progress=False).result()


def test_a_result_by_its_step(statistics):
    run = statistics.run(progress=False)
    assert run.result().artifact.step == "generate_statistics"
    assert run.result("from_csv").rows() == run.examples.rows()
    with pytest.raises(StepFailed, match=r"no step 'form_csv'.*Did you mean 'from_csv'"):
        run.result("form_csv")


def test_nothing_is_shown_of_no_steps(tmp_path):
    with pytest.raises(FluentPipeError, match="no steps"):
        fp.Pipeline("p", root=tmp_path).show()


def test_facts_of_any_kind_are_drawn_as_text(tmp_path):
    (tmp_path / "notes.json").write_text(
        json.dumps({"<script>alert(1)</script>": {"a": ['"><img src=x>']}, "no": None})
    )
    result = result_of(Notes(tmp_path, "", "<b>"))
    assert isinstance(result, OwnResult)
    html = result._repr_mimebundle_()["text/html"]
    assert "<script" not in html
    assert "<img" not in html
