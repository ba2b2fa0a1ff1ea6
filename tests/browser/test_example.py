"""The flights notebook, run once: looked at wherever people open it, and its report, and the pages over its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.browser import jupyter
from tests.browser.example import executed
from tests.browser.pages import ui
from tests.browser.watched import PICTURE, SCREENSHOTS, UNFOLD, Watched

pytestmark = pytest.mark.slow

WAIT = 60_000
"""Milliseconds."""


@dataclass(frozen=True)
class Ran:
    """The executed notebook and the folder where it ran."""

    folder: Path
    notebook: dict[str, Any]

    @property
    def html(self) -> list[str]:
        """HTML of each output that has one."""
        outputs = [output.get("data", {}) for cell in self.notebook["cells"] for output in cell.get("outputs", [])]
        return ["".join(data["text/html"]) for data in outputs if "text/html" in data]


@pytest.fixture(scope="module")
def own_jupyter(tmp_path_factory) -> Iterator[Path]:
    """A folder where Jupyter keeps all its own."""
    folder = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "JUPYTER_CONFIG",
            "JUPYTER_DATA",
            "JUPYTER_RUNTIME",
            "JUPYTERLAB_SETTINGS",
            "JUPYTERLAB_WORKSPACES",
        ):
            patch.setenv(f"{name}_DIR", str(folder / name.rpartition("_")[2].lower()))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        yield folder


@pytest.fixture(scope="module")
def ran(own_jupyter, tmp_path_factory) -> Ran:
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLUENT_PIPE_ROOT", str(folder / "root"))
        return Ran(folder, json.loads(executed(folder).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def server(own_jupyter, ran) -> Iterator[jupyter.Jupyter]:
    with jupyter.server(own_jupyter) as running:
        running.write("trusted.ipynb", ran.notebook, trusted=True)
        running.write("untrusted.ipynb", ran.notebook, trusted=False)
        yield running


@pytest.fixture(scope="module")
def address(ran) -> Iterator[str]:
    with ui(ran.folder / "root", ran.folder / "ui.txt") as found:
        yield found


def outputs_drawn(seen: Watched, ran: Ran) -> None:
    """Wait until a notebook's outputs are there, and hold them against those of the file."""
    html = seen.page.locator(".jp-RenderedHTML")
    html.nth(len(ran.html) - 1).wait_for(state="attached", timeout=WAIT)
    assert html.count() == len(ran.html)
    for number, of_file in enumerate(ran.html):
        one = html.nth(number)
        assert one.is_visible()
        assert one.locator("img").count() == of_file.count("<img"), of_file[:200]
        assert one.locator("tr").count() == of_file.count("<tr"), of_file[:200]
    widths = seen.page.evaluate("[...document.images].map(i => [i.src, i.naturalWidth])")
    assert all(width > 0 for src, width in widths if src.startswith(PICTURE))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("trust", ["trusted", "untrusted"])
def test_jupyterlab(watch, server, ran, theme, trust):
    seen = watch(width=1400)
    seen.open(server.lab(f"{trust}.ipynb", theme))
    outputs_drawn(seen, ran)
    assert seen.page.locator("body").get_attribute("data-jp-theme-name") == jupyter.THEMES[theme]
    assert bool(seen.page.locator(".jp-mod-trusted").count()) == (trust == "trusted")
    seen.grow(".jp-WindowedPanel-outer")
    seen.look(f"jupyterlab-{trust}-{theme}")


def test_notebook_7(watch, server, ran):
    of_its_own = {
        "reading 'schema'": "it looks at the settings of an extension before they are loaded",
        "filebrowser:open-path": "it opens a page without the file browser that it then commands",
    }
    seen = watch(width=1400, expected=of_its_own)
    seen.open(server.notebook("trusted.ipynb", "light"))
    outputs_drawn(seen, ran)
    seen.grow(".jp-WindowedPanel-outer")
    seen.look("notebook-7")


def test_nbconvert(watch, ran):
    # Its page fetches libraries for widgets, formulas and diagrams, of which a notebook of ours has none.
    offline = [f"--HTMLExporter.{name}_url=" for name in ("require_js", "mathjax", "jquery", "mermaid_js")]
    file = ran.folder / "flights.ipynb"
    jupyter.call("nbconvert", "--to=html", *offline, file, folder=ran.folder)
    seen = watch()
    seen.open(file.with_suffix(".html"))
    outputs_drawn(seen, ran)
    seen.look("nbconvert")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_report(watch, ran, dark):
    seen = watch(dark=dark)
    seen.open(ran.folder / "report.html")
    seen.look(f"report-{'dark' if dark else 'light'}")


def test_report_sorts_its_tables(watch, ran):
    page = watch().open(ran.folder / "report.html")
    page.evaluate(UNFOLD)
    table = page.locator("table.sortable", has_text="overall")
    names = table.locator("th").all_text_contents()
    column = next(i for i, name in enumerate(names) if name.startswith("example"))

    def examples() -> list[int]:
        texts = table.locator(f"tbody td:nth-child({column + 1})").all_text_contents()
        return [int(text.replace(",", "")) for text in texts]

    button = table.locator("th button").nth(column)
    button.click()
    assert examples() == sorted(examples())
    button.click()
    assert examples() == sorted(examples(), reverse=True)


@pytest.mark.parametrize("width", [1280, 400])
def test_report_without_scripts(watch, ran, width):
    seen = watch(scripts=False, width=width)
    seen.open(ran.folder / "report.html")
    seen.look(f"report-without-scripts-{width}")


def test_printed_report(watch, ran):
    seen = watch()
    seen.open(ran.folder / "report.html").emulate_media(media="print")
    seen.look("report-printed")
    seen.page.pdf(path=SCREENSHOTS / "report.pdf", format="A4")


def test_pages(watch, ran, address):
    before, after = sorted(folder.name for folder in (ran.folder / "root" / "flights" / "runs").iterdir())[-2:]
    pages = {
        "pipelines": "/",
        "runs": "/p/flights",
        "run": f"/r/{after}",
        "lineage": f"/r/{after}/lineage",
        "compare": f"/compare?a={before}&b={after}",
    }
    for name, path in pages.items():
        seen = watch()
        seen.open(address + path)
        seen.look(f"example-{name}")
