"""A page under watch: what it asks of the world, what it complains of, and how its pictures lie."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

LAYOUT = (Path(__file__).parent / "layout.js").read_text(encoding="utf-8")
UNFOLD = "document.querySelectorAll('details').forEach(details => { details.open = true })"
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
NEAR = re.compile(r"(data:|blob:|about:|file:|(http|ws)://(127\.0\.0\.1|localhost)[:/])")
PICTURE = "data:image/svg+xml;base64,"
TALLEST = 16_000
"""Pixels: what Chromium can take a picture of at once."""


class Watched:
    """A page of its own context.

    Parameters
    ----------
    context
        How it is shown: dark or light, with scripts or without.
    expected
        What the application around our pictures is known to complain of: pattern and reason.
    """

    def __init__(self, context: BrowserContext, expected: Mapping[str, str]) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self._expected = [re.compile(pattern) for pattern in expected]
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("websocket", lambda socket: self._asked(socket.url))
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self._complain(f"error of a script: {error}"))
        self.page.on("dialog", self._dialog)

    def open(self, url: str | Path) -> Page:
        """Go there."""
        self.page.goto(url.resolve().as_uri() if isinstance(url, Path) else url)
        return self.page

    def look(self, name: str) -> None:
        """Keep a screenshot of the whole page; check its pictures, its width, and that no name in it ran as script."""
        self._unfold()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
        self.complaints += self.page.evaluate(LAYOUT)
        self.complaints += self._inside_images()
        if (too_wide := self.page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 1:
            self._complain(f"the page is {too_wide} px wider than its window")
        if self.page.evaluate("window.hacked"):
            self._complain("a name ran as script")

    def pictures(self) -> list[str]:
        """The SVG of each image that holds one."""
        sources = self.page.evaluate("[...document.images].map(i => i.src)")
        return [base64.b64decode(s.removeprefix(PICTURE)).decode() for s in sources if s.startswith(PICTURE)]

    def grow(self, selector: str) -> None:
        """Make the window as tall as what an application scrolls inside itself."""
        self._unfold()
        height = self.page.locator(selector).first.evaluate("element => element.scrollHeight")
        width = self.page.viewport_size["width"] if self.page.viewport_size else 1280
        self.page.set_viewport_size({"width": width, "height": min(height + 200, TALLEST)})

    def _unfold(self) -> None:
        self.page.evaluate(UNFOLD)

    def _inside_images(self) -> list[str]:
        if not (pictures := self.pictures()):
            return []
        page = self.context.new_page()  # an image keeps its inside to itself, so it is opened here
        page.set_content("\n".join(f"<p>{picture}</p>" for picture in pictures))
        faults: list[str] = page.evaluate(LAYOUT)
        page.close()
        return faults

    def _asked(self, url: str) -> None:
        if not NEAR.match(url):
            self._complain(f"request to {url}")

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self._complain(f"console: {message.text} ({message.location.get('url')})")

    def _dialog(self, dialog: Any) -> None:
        dialog.dismiss()
        self._complain(f"a script opened a dialog: {dialog.message}")

    def _complain(self, what: str) -> None:
        if not any(pattern.search(what) for pattern in self._expected):
            self.complaints.append(what)
