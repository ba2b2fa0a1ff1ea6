"""Where this machine keeps what can be had again: copies of remote results, job servers, wheels."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "FLUENT_PIPE_CACHE"
"""Of the environment; names the folder."""


def cache_folder() -> Path:
    """``FLUENT_PIPE_CACHE``, else ``fluent_pipe`` in the user's folder for caches."""
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/fluent_pipe"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fluent_pipe"
