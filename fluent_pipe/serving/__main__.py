"""A server for another process, which starts it, asks it and ends it: ``python -m fluent_pipe.serving``.

It leaves no process behind: it ends at once on SIGTERM, and by itself when the process that started it is gone. Once
the model answers, ``--ready-file`` appears whole, with ``{"port", "pid", "load_seconds", "version"}``; the seconds are
those of loading and trying the model, without the interpreter's start and TensorFlow's import. A model that does not
load ends it with exit code 3, and the last line on standard error says why.

For people there is ``fluent-pipe serve``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path

import psutil

from fluent_pipe.errors import FluentPipeError
from fluent_pipe.serving.limits import Limits
from fluent_pipe.serving.server import Started, serve

NOT_LOADED = 3


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m fluent_pipe.serving", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="a SavedModel, or a folder of integer versions")
    parser.add_argument("--name", required=True, help="of the model, in the paths")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--ready-file", type=Path, help="written when the model answers")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="end with this process; default: the parent")
    parser.add_argument("--max-batch", type=int, default=Limits.batch_rows, help="most rows in a run; 1: no batching")
    asked = parser.parse_args()
    limits = Limits(batch_rows=asked.max_batch)
    threading.Thread(target=_end_with, args=(asked.parent,), daemon=True).start()

    def started(told: Started) -> None:
        if asked.ready_file is not None:
            _write(asked.ready_file, told)

    try:
        serve(
            asked.folder,
            asked.name,
            host=asked.host,
            port=asked.port,
            limits=limits,
            graceful=False,
            started=started,
        )
    except FluentPipeError as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)
        os._exit(NOT_LOADED)  # before TensorFlow says more
    except KeyboardInterrupt:
        os._exit(130)
    os._exit(0)


def _write(file: Path, told: Started) -> None:
    model = told.model
    facts = {
        "port": told.port,
        "pid": os.getpid(),
        "load_seconds": round(model.load_seconds, 4),
        "version": model.version.number,
    }
    incoming = file.with_name(f"{file.name}.{os.getpid()}")
    incoming.write_text(json.dumps(facts))
    incoming.replace(file)


def _end_with(parent: int) -> None:
    own = os.getppid()
    try:
        watched = psutil.Process(parent)
        while os.getppid() == own and watched.is_running():
            time.sleep(0.5)
    except psutil.NoSuchProcess:
        pass
    os._exit(NOT_LOADED)


if __name__ == "__main__":
    main()
