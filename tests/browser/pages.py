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
