"""Loading the libraries that components stand on, without what no step uses."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

_CHARTS = "tensorflow_model_analysis.view.widget_view"
_CHART_FUNCTIONS = ("render_plot", "render_slicing_attributions", "render_slicing_metrics", "render_time_series")


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import heavy libraries within this: Beam, TensorFlow and the TFX libraries then take a sixth less time.

    Half of that is the garbage collector's: imports make a million objects that stay, and it walks through them again
    and again. The other half is IPython's, with its terminal and ipywidgets: outside a notebook, nobody looks at what
    they would draw.
    """
    with ExitStack() as spared:
        spared.enter_context(_garbage_kept())
        if "IPython" not in sys.modules:
            spared.enter_context(_in_place_of(_CHARTS, _Deferred(_CHARTS, _CHART_FUNCTIONS)))
        # KerasTuner, TFDV and, below Beam, BigQuery's progress bar each ask for it and do without where it is not.
        spared.enter_context(_in_place_of("IPython", None))
        yield


@contextmanager
def without_notebook() -> Iterator[None]:
    """Build a Beam graph within this, as if it were not in a notebook.

    Else Beam asks at each transform, which loads IPython; and if it is in one, Beam puts a script into the cell's
    output that fetches jQuery from a network, for tables of its own.
    """
    import apache_beam.pipeline as building

    asked = building.alter_label_if_ipython
    building.alter_label_if_ipython = lambda *_: None
    try:
        yield
    finally:
        building.alter_label_if_ipython = asked


@contextmanager
def _garbage_kept() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _in_place_of(name: str, stand_in: ModuleType | None) -> Iterator[None]:
    """``import name`` finds ``stand_in``, or with None fails as if there were no such module."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = stand_in  # type: ignore[assignment]  # None is Python's own way to say so
    try:
        yield
    finally:
        sys.modules.pop(name, None)


class _Deferred(ModuleType):
    """A module of functions, of which the first to be called loads the module."""

    def __init__(self, name: str, functions: tuple[str, ...]) -> None:
        super().__init__(name)
        for function in functions:
            setattr(self, function, self._deferred(function))

    def _deferred(self, function: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), function)(*arguments, **options)

        return call
