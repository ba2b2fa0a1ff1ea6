"""The flights notebook, and a run of it on a seventeenth of the flights."""

from __future__ import annotations

import io
import json
import runpy
import shutil
import zipfile
from pathlib import Path
from typing import Any

from tests.browser.jupyter import call

FOLDER = Path(__file__).parents[2] / "examples" / "flights"
NOTEBOOK = FOLDER / "flights.ipynb"
EVERY = 17
"""Of the flights: 20,000 that are spread over the year."""


def fewer_flights(to: Path) -> Path:
    """A CSV with some of the flights."""
    whole = runpy.run_path(str(FOLDER / "pipeline.py"))["flights_csv"]()
    with zipfile.ZipFile(whole) as archive, archive.open(archive.namelist()[0]) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8").readlines()
    to.write_text("".join([lines[0], *lines[1::EVERY]]), encoding="utf-8")
    return to


def with_parameters(notebook: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The notebook with a cell after the one tagged ``parameters``, which sets them: as papermill would do it."""
    cells = notebook["cells"]
    (at,) = [i for i, cell in enumerate(cells, 1) if "parameters" in cell["metadata"].get("tags", [])]
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    setting = {"cell_type": "code", "id": "injected", "metadata": {}, "source": source, "outputs": []}
    return {**notebook, "cells": [*cells[:at], {**setting, "execution_count": None}, *cells[at:]]}


def executed(folder: Path) -> Path:
    """The notebook with its outputs, run in a folder of its own: its root, its report, its model lie there too."""
    shutil.copy(FOLDER / "pipeline.py", folder)
    flights = fewer_flights(folder / "flights.csv")
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    quick = with_parameters(notebook, flights=str(flights), trials=2, epochs=1)
    (folder / "flights.ipynb").write_text(json.dumps(quick), encoding="utf-8")
    call("nbconvert", "--to=notebook", "--execute", "--inplace", folder / "flights.ipynb", folder=folder)
    return folder / "flights.ipynb"
