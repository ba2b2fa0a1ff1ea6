"""Draw ``chain.svg`` from the plan of the flights example: ``uv run python docs/pictures/draw.py``."""

from __future__ import annotations

from pathlib import Path

from fluent_pipe import loading
from fluent_pipe.display.plan import DrawnStep, draw_steps
from fluent_pipe.pipeline import Pipeline
from fluent_pipe.plan import group

HERE = Path(__file__).parent
PICTURE = HERE / "chain.svg"
EXAMPLE = HERE.parents[1] / "examples" / "flights" / "pipeline.py"

LEAVES = {
    "from_csv": "typed rows, Parquet by split",
    "generate_statistics": "TFDV statistics by split",
    "infer_schema": "schema.pbtxt",
    "validate": "what is wrong, drift, skew",
    "preprocess": "TFT graph and its rows",
    "tune": "the best, and all trials",
    "train": "SavedModel, Keras, logs",
    "evaluate": "TFMA metrics, the verdict",
    "infra_validate": "latency, memory, warm-up",
    "push_to": "a new version folder, whole",
    "bulk_infer": "beside the columns to keep",
}


def draw(pipeline: Pipeline) -> str:
    """The picture of a pipeline as SVG."""
    steps = [DrawnStep.of(step, words=LEAVES[step.call]) for step in pipeline.steps]
    name = f"The pipeline {pipeline.name}: its calls, Beam jobs and artifacts"
    return f"{draw_steps(steps, group(pipeline.steps), name=name).svg()}\n"


def flights() -> Pipeline:
    """The pipeline of the flights example; its input need not be there."""
    return loading.load(f"{EXAMPLE}:pipeline", {"FLIGHTS": "flights.csv"})


if __name__ == "__main__":
    PICTURE.write_text(draw(flights()), encoding="utf-8")
