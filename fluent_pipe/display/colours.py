"""Colours that read on white and on black, and for people who do not tell red from green.

A picture in a notebook cannot see the page's theme. The grey has a contrast of 4.5 to both white and black; the others
differ in lightness as well as in hue (after Paul Tol's notes on colour-blind safe schemes), and no meaning hangs on a
colour alone.
"""

from __future__ import annotations

INK = "#757575"
"""Text, axes and ticks."""
FAINT = "#75757540"
"""Grid lines, borders."""
SERIES = ("#4585c4", "#e08a1e", "#2a9d8f", "#b565a7", "#8a9a2b", "#c8553d")
"""Splits, metrics, models: in this order."""
BAD = "#d64545"
"""Anomalies, failures, limits that are crossed."""
GOOD = "#2e9e6b"
"""Passed, blessed, pushed."""
WARN = "#c98a00"
"""Refused, skipped, waiting."""
