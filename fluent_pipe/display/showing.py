"""Show a thing now: as a picture in a notebook, as text elsewhere."""

from __future__ import annotations

import sys
from typing import Any


def show(thing: Any) -> None:
    """Draw ``thing`` in the notebook's cell that runs, or print it."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        print(repr(thing))
        return
    from IPython.display import display

    display(thing)
