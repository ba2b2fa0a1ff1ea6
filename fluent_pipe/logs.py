"""Keep the terminal for the user: everything that libraries say goes to the run's log."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


@contextmanager
def logged(path: Path) -> Iterator[TextIO]:
    """Send standard error, warnings and Python logging to ``path``; yields the terminal as it was.

    Standard error is turned round at the level of the file descriptor, since TensorFlow and Beam's native parts write
    there. Standard output stays: what the user's functions print is the user's.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    sys.stderr.flush()
    kept = os.dup(2)
    before = sys.stderr
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with _log(path) as file, os.fdopen(os.dup(kept), "w", buffering=1) as terminal:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        try:
            os.dup2(file.fileno(), 2)
            sys.stderr = file
            root.handlers, root.level = [handler], logging.INFO
            with warnings.catch_warnings():
                for noise in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
                    warnings.simplefilter("ignore", noise)  # of libraries about each other: not for the user
                yield terminal
        finally:
            root.handlers, root.level = handlers, level
            sys.stderr = before
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def _log(path: Path) -> Iterator[TextIO]:
    file = path.open("a", encoding="utf-8", buffering=1)
    try:
        yield file
    finally:
        with suppress(OSError):  # a full disk takes no last lines; that it is full is said elsewhere
            file.close()
