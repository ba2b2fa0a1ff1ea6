"""Draw ``chain.svg`` from the plan of the flights example: ``uv run python docs/pictures/draw.py``."""

from __future__ import annotations

from html import escape
from pathlib import Path

from fluent_pipe import loading
from fluent_pipe.pipeline import Pipeline
from fluent_pipe.plan import group
from fluent_pipe.steps.base import Step

HERE = Path(__file__).parent
PICTURE = HERE / "chain.svg"
EXAMPLE = HERE.parents[1] / "examples" / "flights" / "pipeline.py"

HOLDS = {
    "Examples": "typed rows, Parquet by split",
    "Statistics": "TFDV statistics by split",
    "Schema": "schema.pbtxt",
    "Anomalies": "what is wrong, drift, skew",
    "TransformGraph": "TFT graph, transformed rows",
    "HyperParameters": "the best, and all trials",
    "Model": "SavedModel, model.keras, logs",
    "Evaluation": "TFMA metrics by slice",
    "ModelBlessing": "the verdict and its reasons",
    "InfraBlessing": "latency, memory, warm-up",
    "PushedModel": "a new version folder, whole",
    "Predictions": "beside the columns to keep",
}
SANS = "font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif"
MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
INK, DIM, LINE, PANEL = "#1f2328", "#59636e", "#8c959f", "#f6f8fa"
TINTS = ("#dbeafe", "#dcfce7", "#fef3c7", "#fae8ff", "#ffe4e6", "#cffafe")
EDGES = ("#2563eb", "#15803d", "#b45309", "#a21caf", "#be123c", "#0e7490")

WIDTH, ROW, BOX, GAP, TOP = 940, 52, 42, 16, 62
JOB_X, CALL_X, CALL_W, LEFT_X, LEFT_W = 20, 136, 376, 552, 368


def text(x: float, y: float, words: str, size: int, fill: str, *, family: str = SANS, weight: int = 400) -> str:
    """One line of text, its baseline at ``y``."""
    style = f"{family};font-size:{size}px;font-weight:{weight}"
    return f'<text x="{x}" y="{y}" fill="{fill}" style="{style}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, edge: str, *, dash: str = "") -> str:
    """A rectangle with round corners."""
    place = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="8"'
    return f'<rect {place} fill="{fill}" stroke="{edge}" stroke-width="1.3" stroke-dasharray="{dash or "none"}"/>'


def arrow(points: str) -> str:
    """A line through ``points`` with a head at its end."""
    return f'<path d="M{points}" fill="none" stroke="{LINE}" stroke-width="1.6" marker-end="url(#head)"/>'


def reads(step: Step) -> str:
    """What a step reads, in words: results of this run, then of earlier ones."""
    own = [ref.type.__name__ for ref in step.inputs().values()]
    earlier = [f"earlier {ref.type.__name__}" for ref in step.earlier().values()]
    return "reads " + (", ".join([*own, *earlier]) or "your files")


def row(step: Step, y: float, edge: str) -> list[str]:
    """One call and what it leaves."""
    middle = y + BOX / 2
    made = [kind.__name__ for kind in step.produces]
    parts = [
        box(CALL_X, y, CALL_W, BOX, "#ffffff", edge),
        text(CALL_X + 12, y + 18, f".{step.id}()", 14, INK, family=MONO, weight=600),
        text(CALL_X + 12, y + 34, reads(step), 11, DIM),
        arrow(f"{CALL_X + CALL_W} {middle}H{LEFT_X - 4}"),
        box(LEFT_X, y, LEFT_W, BOX, "#ffffff", "#d0d7de"),
    ]
    for number, name in enumerate(made):
        line = middle + 5 if len(made) == 1 else y + 17 + 18 * number
        parts += [text(LEFT_X + 12, line, name, 13, INK, weight=600), text(LEFT_X + 146, line, HOLDS[name], 12, DIM)]
    return parts


def draw(pipeline: Pipeline) -> str:
    """The picture of a pipeline as SVG."""
    steps = {step.id: step for step in pipeline.steps}
    parts = [
        text(JOB_X + 10, 40, "Beam job", 13, DIM, weight=600),
        text(CALL_X, 40, f"the calls of one expression: {pipeline.name}", 13, DIM, weight=600),
        text(LEFT_X, 40, "the artifacts they leave, cached by content", 13, DIM, weight=600),
    ]
    y = TOP
    for number, job in enumerate(group(pipeline.steps)):
        tint, edge = TINTS[number % len(TINTS)], EDGES[number % len(EDGES)]
        height = ROW * len(job) - (ROW - BOX) + 16
        parts.append(box(JOB_X, y - 8, CALL_X + CALL_W - JOB_X + 10, height, tint, edge, dash="5 4"))
        parts.append(text(JOB_X + 14, y + BOX / 2 + 6, f"job {number + 1}", 15, edge, weight=700))
        if any(r.step in job for name in job for r in steps[name].inputs().values()):
            parts.append(text(JOB_X + 14, y + BOX / 2 + 24, "one pass over", 11, edge))
            parts.append(text(JOB_X + 14, y + BOX / 2 + 38, "the rows", 11, edge))
        for place, name in enumerate(job):
            top = y + ROW * place
            if number or place:
                begin = top - (ROW - BOX) if place else top - GAP - (ROW - BOX)
                parts.append(arrow(f"{CALL_X + 40} {begin}V{top - 3}"))
            parts += row(steps[name], top, edge)
        y += ROW * len(job) + GAP
    height = y - GAP + 14
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">'
    title = f"<title>The pipeline {escape(pipeline.name)}: its calls, Beam jobs and artifacts</title>"
    marker = '<marker id="head" markerWidth="7" markerHeight="7" refX="5" refY="3.5" orient="auto">'
    head = f'<defs>{marker}<path d="M0 0L7 3.5L0 7z" fill="{LINE}"/></marker></defs>'
    return "\n".join([begin, title, head, box(1, 1, WIDTH - 2, height - 2, PANEL, "#d0d7de"), *parts, "</svg>\n"])


def flights() -> Pipeline:
    """The pipeline of the flights example; its input need not be there."""
    return loading.load(f"{EXAMPLE}:pipeline", {"FLIGHTS": "flights.csv"})


if __name__ == "__main__":
    PICTURE.write_text(draw(flights()), encoding="utf-8")
