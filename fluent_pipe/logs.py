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
    """Send standard error, warnings and Python logging to ``path``; yields where the user looks.

    Standard error is turned round at the level of the file descriptor, since TensorFlow and Beam's native parts write
    there. ``sys.stderr`` itself is never a file of ours: libraries keep the stream that they meet when they are
    imported. A notebook's own stream is set aside meanwhile, and is where progress is shown. Standard output stays:
    what the user's functions print is the user's.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    shown, native = sys.stderr, sys.__stderr__ or sys.stderr
    native.flush()
    kept = os.dup(2)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with _log(path) as file, os.fdopen(os.dup(kept), "w", buffering=1) as terminal:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        try:
            os.dup2(file.fileno(), 2)
            sys.stderr = native
            root.handlers, root.level = [handler], logging.INFO
            with warnings.catch_warnings():
                for noise in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
                    warnings.simplefilter("ignore", noise)  # of libraries about each other: not for the user
                yield terminal if shown is native else shown
        finally:
            root.handlers, root.level = handlers, level
            native.flush()
            sys.stderr = shown
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
