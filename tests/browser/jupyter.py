"""JupyterLab and Notebook on loopback: one server shows both. It asks nothing of the world."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from fluent_pipe.runners import tied
from tests.clusters import free_port, until
from tests.needs import missing

TOKEN = "of-these-tests"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are there, also those not in sight
}


def environment(folder: Path) -> dict[str, str]:
    """What has Jupyter keep all its own in a folder: settings, which notebooks are trusted, connections to kernels."""
    names = ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES")
    return {"IPYTHONDIR": str(folder / "ipython")} | {
        f"{n}_DIR": str(folder / n.rpartition("_")[2].lower()) for n in names
    }


@dataclass(frozen=True)
class Jupyter:
    """A running server.

    Parameters
    ----------
    port
        On loopback.
    folder
        Its notebooks.
    settings
        Of JupyterLab; a page that is opened sees what stands there then.
    """

    port: int
    folder: Path
    settings: Path

    def lab(self, notebook: str, theme: str) -> str:
        """Where JupyterLab shows a notebook, in a workspace of its own."""
        self.set("apputils-extension/themes", {"theme": THEMES[theme]})
        return self._url(f"lab/workspaces/{Path(notebook).stem}-{theme}/tree/{notebook}")

    def notebook(self, notebook: str, theme: str) -> str:
        """Where Notebook shows one."""
        self.set("apputils-extension/themes", {"theme": THEMES[theme]})
        return self._url(f"notebooks/{notebook}")

    def set(self, extension: str, values: dict[str, Any]) -> None:
        """Settings of an extension, as its user would change them."""
        file = self.settings / "@jupyterlab" / f"{extension}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")

    def write(self, name: str, notebook: dict[str, Any], *, trusted: bool) -> None:
        """Put a notebook into the folder, signed or not."""
        # Trust goes by content, so what is not to be trusted has to differ from what is.
        content = copy.deepcopy(notebook)
        content["metadata"]["title"] = name
        (self.folder / name).write_text(json.dumps(content), encoding="utf-8")
        if trusted:
            call("trust", self.folder / name, folder=self.folder)

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={TOKEN}"


@contextmanager
def server(folder: Path) -> Iterator[Jupyter]:
    """A server over ``folder/notebooks``; it ends with the block, and with this process however that ends."""
    if find_spec("jupyterlab") is None:
        missing("JupyterLab is not installed: uv sync --group browser")
    jupyter = Jupyter(free_port(), folder / "notebooks", folder / "settings")
    jupyter.folder.mkdir()
    for extension, values in SETTINGS.items():
        jupyter.set(extension, values)
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": jupyter.port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": jupyter.folder,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": TOKEN,
        "LabApp.extension_manager": "readonly",  # the other one asks a registry
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    log = folder / "jupyter.txt"
    with log.open("wb") as out:
        running = tied.start(command, out, folder=jupyter.folder)
    try:
        until(lambda: _answers(jupyter.port), "Jupyter", log)
        yield jupyter
    finally:
        tied.stop(running)


def _answers(port: int) -> bool:
    with urlopen(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", timeout=1) as answer:
        return bool(answer.status == 200)


def call(program: str, *arguments: str | Path, folder: Path) -> str:
    """``jupyter PROGRAM ...`` of this environment; what it printed."""
    command = [sys.executable, "-m", "jupyter", program, *map(str, arguments)]
    with (folder / f"{program}.txt").open("w+b") as log:
        running = tied.start(command, log, folder=folder)
        try:
            code = running.wait()
        finally:
            tied.stop(running)
        log.seek(0)
        said = log.read().decode(errors="replace")
    assert code == 0, said
    return said
