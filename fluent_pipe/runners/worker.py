"""A worker process: ``python -m fluent_pipe.runners.worker``, started by a worker pool."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from contextlib import suppress
from functools import partial

from fluent_pipe import progress


def main() -> None:
    """Work for a runner until it hangs up, or until the pool that started this process is gone."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--id", required=True)
    arguments.add_argument("--control", required=True)
    arguments.add_argument("--reports", required=True, type=int, help="file descriptor that takes progress")
    given = arguments.parse_args()
    progress.carried_by(partial(_told, given.reports))
    threading.Thread(target=_end_with_pool, daemon=True).start()

    from fluent_pipe.imports import quick_imports

    with quick_imports():
        import grpc

        from fluent_pipe.runners.worker_pool import harness

    with suppress(grpc.RpcError):  # the runner hung up, or is gone
        harness(given.id, given.control).run()
    # TensorFlow and Beam take seconds, and are noisy, to tear down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _told(reports: int, step: str, rows: int, detail: str | None, part: float) -> None:
    """Tell the pool; a line of one write, so that those of two threads do not mix."""
    os.write(reports, f"{json.dumps([step, rows, detail, part])}\n".encode())


def _end_with_pool() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
