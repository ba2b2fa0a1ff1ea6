"""``fluent-pipe ui`` over a root, as a process on loopback."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluent_pipe.runners import tied
from tests.clusters import until

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@contextmanager
def ui(root: Path, log: Path) -> Iterator[str]:
    """Its address. It ends with the block, and with this process however that ends."""
    command = [sys.executable, "-u", "-m", "fluent_pipe.cli", "ui", "--port=0", f"--root={root}"]
    with log.open("wb") as out:
        running = tied.start(command, out)
    try:
        until(lambda: bool(ADDRESS.search(log.read_text())), "fluent-pipe ui", log)
        yield ADDRESS.findall(log.read_text())[0]
    finally:
        tied.stop(running)


def paths(pipeline: str, before: str, after: str) -> dict[str, str]:
    """Every kind of page, with a name for its screenshot; of two runs, the later one is shown."""
    return {
        "pipelines": "/",
        "runs": f"/p/{pipeline}",
        "run": f"/r/{after}",
        "lineage": f"/r/{after}/lineage",
        "compare": f"/compare?a={before}&b={after}",
    }
