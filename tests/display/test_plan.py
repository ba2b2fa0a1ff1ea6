"""Pipelines, plans and runs as pictures."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from datetime import datetime, timezone
from pathlib import Path

import fluent_pipe as fp
from fluent_pipe.artifacts import Examples, ModelBlessing, PushedModel
from fluent_pipe.display.charts import Chart, inline
from fluent_pipe.display.plan import MARKS, DrawnStep, draw_pipeline, draw_steps
from fluent_pipe.display.timings import draw_timings
from fluent_pipe.plan import PlannedStep, group
from fluent_pipe.results import PlanResult, Timings, came_of
from fluent_pipe.results.pipeline import draw_run
from fluent_pipe.store.metadata import StoredExecution

HOSTILE = "<script>alert(1)</script>\x07{{7*7}}" + "x" * 300


def holds(run):
    return True


def chain() -> fp.Pipeline:
    return fp.Pipeline("trips").from_csv("a.csv").generate_statistics().infer_schema().when(holds).preprocess(label="y")


def texts(chart: Chart) -> list[str]:
    """What stands in a chart; not what is shown when one points at it."""
    return [found.text or "" for found in ET.fromstring(chart.svg()).iter("{http://www.w3.org/2000/svg}text")]


def test_a_pipeline_shows_steps_jobs_and_what_flows() -> None:
    html = draw_pipeline("trips", chain().steps, inline)
    assert "4 steps, 2 Beam jobs" in html
    assert "Examples of from_csv, read by generate_statistics, preprocess" in html
    assert re.findall(r">(Beam job \d)<", html) == ["Beam job 1", "Beam job 2"]
    assert ">if holds<" in html


def test_a_pipeline_without_steps_says_so() -> None:
    assert "no steps yet" in draw_pipeline("trips", (), inline)


def test_in_a_notebook_it_is_an_image_that_needs_no_trust() -> None:
    bundle = chain()._repr_mimebundle_()
    assert "<svg" not in bundle["text/html"]
    svg = base64.b64decode(re.search(r'base64,([^"]+)"', bundle["text/html"]).group(1)).decode()
    assert "generate_statistics" in svg
    ET.fromstring(svg)


def test_every_state_has_a_word_and_a_mark_of_its_own() -> None:
    chart = draw_steps([DrawnStep(id=f"s{i}", state=s) for i, s in enumerate(MARKS)], [], name="states")
    shown = texts(chart)
    assert {*MARKS} <= {*shown}
    assert {mark for mark, _ in MARKS.values()} <= {*shown}


def test_a_chain_of_twelve_fits_a_page_and_one_of_a_hundred_is_drawn() -> None:
    def steps(count: int) -> list[DrawnStep]:
        return [
            DrawnStep(id=f"step_{i}", leaves=("Rows",), reads=((f"step_{i - 1}", "Rows"), ("step_0", "Rows")))
            for i in range(count)
        ]

    assert draw_steps(steps(12), [], name="twelve").width <= 900
    assert draw_steps(steps(12), [], name="twelve").height < 500
    assert draw_steps(steps(100), [], name="a hundred").width <= 900


def test_a_job_that_is_parted_is_continued() -> None:
    steps = [DrawnStep(id=f"s{i}", seconds=1.0, state="ran") for i in range(6)]
    words = texts(draw_steps(steps, [[s.id for s in steps]], name="six"))
    assert words.count("Beam job 1, 6.00 s") == 1
    assert words.count("Beam job 1, continued") == 1


def test_hostile_words_are_text() -> None:
    step = DrawnStep(id=HOSTILE, leaves=(HOSTILE,), state="failed", words=HOSTILE, condition=HOSTILE, hint=HOSTILE)
    chart = draw_steps([step], [[HOSTILE]], name=HOSTILE)
    assert "<script" not in chart.svg()
    assert chart.width < 900
    ET.fromstring(chart.svg())


def plan() -> PlanResult:
    steps = chain().steps
    stored = StoredExecution("from_csv", "n", Path("gone"), "k1", "f", 3.25, (), datetime.now(timezone.utc))
    planned = (
        PlannedStep(steps[0], "cached", "k1", stored),
        PlannedStep(steps[1], "run", "k2", reason="no published result has its key"),
        *(PlannedStep(s, "after", reason="after generate_statistics") for s in steps[2:]),
    )
    return PlanResult("trips", planned, group(steps[1:]), "in this process")


def test_a_plan_shows_what_is_cached_and_why_the_rest_runs() -> None:
    html = plan().drawn(inline)
    assert "4 steps, 2 Beam jobs to run" in html
    assert ">cached<" in html
    assert ">3.25 s<" in html
    assert "no published result has its key" in html
    assert "key k2" in html
    assert "Runner: in this process" in html


def test_a_plan_prints_as_it_explains() -> None:
    assert repr(plan()) == str(plan())
    assert plan()._repr_mimebundle_()["text/plain"].startswith("Pipeline trips: 4 steps, 2 Beam jobs to run")


def test_a_plan_of_nothing() -> None:
    assert "0 steps, 0 Beam jobs" in PlanResult("trips", (), ()).drawn(inline)


def artifacts(folder: Path) -> tuple[Examples, ModelBlessing, PushedModel]:
    for name, text in {
        "examples.json": '{"splits": {"train": {"rows": 80}}, "columns": {}, "rejected": 0}',
        "reasons.json": '{"blessed": false, "note": "", "reasons": []}',
        "pushed.json": '{"pushed": false, "version": null, "destination": null, "reasons": ["not <b>blessed</b>"]}',
    }.items():
        (folder / name).write_text(text)
    kinds = ((Examples, "from_csv"), (ModelBlessing, "evaluate"), (PushedModel, "push_to"))
    return tuple(kind(folder, "f", step) for kind, step in kinds)


def test_a_run_says_what_came_of_it_and_how_each_step_went(tmp_path) -> None:
    steps = [DrawnStep.of(s) for s in chain().steps]
    ran = (("from_csv", 1.5, True), ("generate_statistics", None, False), ("infer_schema", 0.5, True))
    timings = Timings((*ran, ("preprocess", None, False)), undone={"preprocess": "skipped"})
    why = {"preprocess": "holds (a.py:1) does not hold"}
    html = draw_run(
        "Run 1 of trips", steps, [["from_csv"], ["infer_schema"]], timings, artifacts(tmp_path), why, inline
    )
    assert "2 steps ran in 2.00 s, 1 cached, 1 skipped" in html
    assert "not blessed · not pushed: not &lt;b&gt;blessed&lt;/b&gt;" in html
    assert "train 80" in html
    assert "Beam job 2, 0.50 s" in html
    assert "does not hold" in html


def test_what_came_of_a_run_is_read_from_what_it_left(tmp_path) -> None:
    assert came_of(()) == []
    assert came_of(artifacts(tmp_path)) == ["not blessed · not pushed: not <b>blessed</b>"]


def test_timings_are_bars_with_words() -> None:
    timings = Timings((("from_csv", 2.0, True), ("train", None, False)), loading=1.0, undone={"train": "waiting"})
    html = timings.drawn(inline)
    assert [w for w in ("2.00 s", "waiting", "(loading libraries)", "seconds") if w not in html] == []


def test_timings_of_nothing_and_of_very_many() -> None:
    assert "seconds" in draw_timings([]).svg()
    rows = [{"step": f"{HOSTILE}{i}", "seconds": float(i), "state": "ran"} for i in range(200)]
    svg = draw_timings(rows).svg()
    assert "and 140 more: to_frame() has them all" in svg
    assert "<script" not in svg
