"""A worker process: ``python -m fluent_pipe.runners.worker``, started by a worker pool."""

from __future__ import annotations

import argparse
import os
import sys
import threading


def main() -> None:
    """Work for a runner until it hangs up, or until the pool that started this process is gone."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--id", required=True)
    arguments.add_argument("--control", required=True)
    given = arguments.parse_args()
    threading.Thread(target=_end_with_pool, daemon=True).start()

    from fluent_pipe.imports import quick_imports

    with quick_imports():
        from fluent_pipe.runners.worker_pool import harness

    harness(given.id, given.control).run()
    # TensorFlow and Beam take seconds, and are noisy, to tear down.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _end_with_pool() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
