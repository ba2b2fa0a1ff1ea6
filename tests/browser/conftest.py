"""One Chromium for all; each test opens watched pages in it, which may have nothing to complain of when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import launched
from tests.browser.watched import Watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Watched]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A Chromium. It ends with this folder's tests: playwright keeps an event loop, which others would trip over."""
    with launched() as browser:
        yield browser


@pytest.fixture
def watch(browser) -> Iterator[Open]:
    """Open a page; when the test ends, none may have asked anything of the world, or have faults that one can see."""
    opened: list[Watched] = []

    def page(
        *, dark: bool = False, scripts: bool = True, width: int = 1280, expected: Mapping[str, str] | None = None
    ) -> Watched:
        context = browser.new_context(
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            viewport={"width": width, "height": 900},
        )
        opened.append(Watched(context, expected or {}))
        return opened[-1]

    yield page
    for one in opened:
        one.context.close()
    complaints = [c for one in opened for c in one.complaints]
    assert not complaints, "\n".join(dict.fromkeys(complaints))
