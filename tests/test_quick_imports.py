"""Heavy libraries load without what no step uses, and nothing is missing from them afterwards."""

import gc
import sys
from types import ModuleType

import pytest

from fluent_pipe.imports import quick_imports
from tests.test_imports import in_fresh_process

CHARTS = """
import json, sys
from fluent_pipe.imports import quick_imports
with quick_imports():
    import tensorflow_model_analysis as tfma
loaded = "IPython" in sys.modules
stand_in = tfma.view.render_plot
import tensorflow_model_analysis.view.widget_view as widget_view
"""


def test_tfma_loads_whole_without_ipython_and_its_charts_load_when_asked_for(tmp_path):
    code = CHARTS + (
        "print(json.dumps([loaded, tfma.EvalResult.__name__, 'IPython' in sys.modules, "
        "widget_view.render_plot is not stand_in, callable(stand_in)]))"
    )
    assert in_fresh_process(code, tmp_path) == [False, "EvalResult", True, True, True]


def test_ipython_is_only_hidden_meanwhile(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with quick_imports(), pytest.raises(ImportError):
        import IPython
    import IPython

    assert IPython.__name__ == "IPython"


def test_in_a_notebook_ipython_is_left_alone(monkeypatch):
    loaded = ModuleType("IPython")
    monkeypatch.setitem(sys.modules, "IPython", loaded)
    with quick_imports():
        import IPython

        assert IPython is loaded
    assert sys.modules["IPython"] is loaded


BUILT = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance()
import apache_beam as beam
from fluent_pipe.imports import without_notebook
with without_notebook():
    beam.Pipeline() | "one" >> beam.Create([1])
print(json.dumps("apache_beam.runners.interactive.interactive_environment" in sys.modules))
"""


def test_in_a_notebook_beam_is_not_told(tmp_path):
    assert in_fresh_process(BUILT, tmp_path) is False


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_collected_afterwards_as_before(collecting):
    (gc.enable if collecting else gc.disable)()
    try:
        with quick_imports():
            assert not gc.isenabled()
        assert gc.isenabled() == collecting
    finally:
        gc.enable()
