"""Take ``report.png``, the top of a report: ``uv run --group browser python -m docs.pictures.shoot REPORT``.

``fluent-pipe demo --full`` says where the demo's report lies. What is shown ends with the worst slices.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.browser.chromium import launched

PICTURE = Path(__file__).parent / "report.png"
WIDTH = 1300
LAST = "#worst-slices"
"""Heading of the last section that is shown."""
MOST_BYTES = 250_000


def shoot(report: Path, picture: Path) -> int:
    """Draw the top of a report; the size of the file in bytes."""
    with launched() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        section = page.locator("section").filter(has=page.locator(LAST)).bounding_box()
        assert section is not None
        height = section["y"] + section["height"]
        page.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    return picture.stat().st_size


if __name__ == "__main__":
    size = shoot(Path(sys.argv[1]), PICTURE)
    print(f"{PICTURE}: {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"That is more than {MOST_BYTES:,} bytes: shorten what is shown.")
