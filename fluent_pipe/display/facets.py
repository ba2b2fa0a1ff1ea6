"""Statistics in Google's Facets Overview, out of the files that the ``witwidget`` wheel carries.

The wheel's page holds the What-If Tool, and with it Facets: 3 MB of script that asks nothing of the network. It stands
in a frame of its own, under a policy that allows no request, so that it cannot touch or tell what is around it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.distributions import name_of
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.overview import Overview, all_rows
from fluent_pipe.errors import FluentPipeError, StoreError

_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
_TOOL = "<wit-dashboard local"
_FONTS = re.compile(r"@font-face\s*{[^}]*}")
HEIGHT = 700


def facets_page(statistics: Mapping[str, Any]) -> str:
    """A whole page, for a file or a frame.

    Parameters
    ----------
    statistics
        TFDV's ``DatasetFeatureStatisticsList`` by split; slices are left out, since Facets compares datasets.

    Raises
    ------
    FluentPipeError
        If ``witwidget`` is not installed.
    """
    before, found, _ = _viewer().partition(_TOOL)
    if not found:
        raise FluentPipeError(
            "The installed witwidget does not hold the page that was expected.",
            fix="pip install 'fluent-pipe[facets]' installs one that does.",
        )
    data = base64.b64encode(_together(statistics).SerializeToString()).decode()
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", f"Statistics of {', '.join(statistics)}"),
    )
    kind = "<!doctype html>"
    view = tag("facets-overview", "", proto_input=data)
    return f"{kind}{head}{before.removeprefix(kind)}{view}"


def _viewer() -> str:
    # Importing the package would load TensorFlow and IPython's widgets; only its files are needed.
    spec = find_spec("witwidget")
    file = Path(spec.origin).parent / "static" / "wit_jupyter.html" if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        raise FluentPipeError(
            "Facets comes with the package witwidget, which is not installed.",
            fix="pip install 'fluent-pipe[facets]'",
        )
    # Its fonts lie on a server that is not there.
    return _FONTS.sub("", file.read_text(encoding="utf-8"))


def _together(statistics: Mapping[str, Any]) -> Any:
    """One list with a dataset a split, the largest first, and features by name, as Facets reads them."""
    together = type(next(iter(statistics.values())))()
    for split in Overview.of(statistics).splits:
        dataset = together.datasets.add()
        dataset.CopyFrom(all_rows(statistics[split]))
        dataset.name = split
        for feature in dataset.features:
            feature.name = name_of(feature)  # takes the place of the path
    return together


def facets_frame(page: str) -> Markup:
    """A page of :func:`facets_page` in a frame that cannot touch the page around it."""
    return joined(
        tag("p", "Facets Overview. If nothing is drawn below: trust this notebook (File, Trust Notebook)."),
        tag(
            "iframe",
            "",
            srcdoc=page,
            sandbox="allow-scripts",
            title="Facets Overview",
            style=f"width:100%;height:{HEIGHT}px;border:1px solid #75757540;background:#fff",
        ),
    )


def write_page(page: str, path: Path) -> Path:
    """Write a page.

    Raises
    ------
    StoreError
        If it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"The page cannot be written: {error.strerror}.", where=str(path)) from error
    return path
