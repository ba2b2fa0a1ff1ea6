"""Slices that a search found: where the model loses more than elsewhere, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from fluent_pipe.display.charts import Chart, Embed, Scale, fitted, label, width_of, x_axis
from fluent_pipe.display.colours import INK, SERIES
from fluent_pipe.display.figures import figure
from fluent_pipe.display.markup import joined, tag
from fluent_pipe.display.prose import heading, paragraph
from fluent_pipe.display.slices import Facts, slice_name
from fluent_pipe.display.text import counted, text_table

MOST = 20
_NONE = "No slice is significantly worse than all other rows."
_ROW = 19
_COLUMNS = (("loss", 60.0), ("elsewhere", 70.0), ("effect", 55.0), ("p", 70.0), ("examples", 70.0))


def draw_found(found: Sequence[Facts], embed: Embed) -> Markup:
    """The slices as bars of how much more is lost there, with intervals, effect sizes and p-values."""
    if not found:
        return joined(heading("Slices that were found to be worse"), paragraph(_NONE))
    more = len(found) - MOST
    return joined(
        heading("Slices that were found to be worse"),
        tag("div", embed(_chart(found[:MOST]))),
        paragraph("effect: the difference in standard deviations; p: corrected for all slices that were looked at"),
        paragraph(f"... and {counted(more, 'more slice')}: worst({len(found)}) has them all.") if more > 0 else None,
    )


def found_text(found: Sequence[Facts]) -> str:
    """The same as text."""
    if not found:
        return f"\n{_NONE}"
    rows = [{"slice": slice_name(one["slice"]), **_numbers(one)} for one in found[:MOST]]
    more = f"\n... and {counted(len(found) - MOST, 'more slice')}" if len(found) > MOST else ""
    return f"\nslices that were found to be worse:\n{text_table(rows)}{more}"


def _numbers(one: Facts) -> dict[str, Any]:
    return {
        "loss": figure(one["loss"]),
        "elsewhere": figure(one["loss_elsewhere"]),
        "effect": f"{one['effect_size']:.2f}",
        "p": f"{one['p_adjusted']:.2g}",
        "examples": figure(one["rows"]),
    }


def _chart(found: Sequence[Facts]) -> Chart:
    names = [slice_name(one["slice"]) for one in found]
    left = min(260.0, max(70.0, max(map(width_of, names)) + 8))
    most = max(one["interval"][1] for one in found)
    scale = Scale((0, (most or 1) * 1.05), (left, left + 200))
    top, bottom = 22, 22 + _ROW * len(found)
    parts = [x_axis(scale, bottom, title="more loss than elsewhere", count=4, grid=bottom - top)]
    for i, (name, one) in enumerate(zip(names, found, strict=True)):
        y = top + _ROW * i + _ROW / 2
        low, high = (scale(max(end, 0)) for end in one["interval"])
        width = max(scale(one["difference"]) - left, 0.5)
        parts += [
            label(left - 6, y + 4, fitted(name, left - 8), anchor="end", full=name),
            tag("rect", x=left, y=y - 6, width=round(width, 2), height=12, fill=SERIES[1], fill_opacity=0.85),
            tag("path", d=f"M{low},{y - 3}v6m0,-3H{high}m0,-3v6", stroke=INK, fill="none"),
        ]
    x = left + 210
    for column, width in _COLUMNS:
        x += width
        cells = (label(x, top + _ROW * i + _ROW / 2 + 4, _numbers(one)[column]) for i, one in enumerate(found))
        parts.append(tag("g", label(x, top - 8, column, font_weight=600), cells, text_anchor="end"))
    return Chart(x + 6, bottom + 36, joined(parts), "Slices where the model loses more than elsewhere")
