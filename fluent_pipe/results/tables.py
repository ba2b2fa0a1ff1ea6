"""Tables of text, and what every result is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps.base import A

if TYPE_CHECKING:
    import pandas as pd


def text_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as aligned text; numbers to the right, with four significant digits."""
    if not rows:
        return "(nothing)"
    names = list(columns or rows[0])
    cells = [[_cell(row.get(n)) for n in names] for row in rows]
    right = [all(isinstance(row.get(n), (int, float, type(None))) for row in rows) for n in names]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    lines = [names, *cells]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Timings:
    """Seconds of each step.

    Parameters
    ----------
    steps
        Id, seconds (None from the cache), and whether it ran.
    loading
        Seconds spent importing TensorFlow, Beam and the like; not counted in any step.
    undone
        State of the steps that neither ran nor came from the cache: ``"skipped"``, or ``"waiting"`` for an approval.
    """

    steps: tuple[tuple[str, float | None, bool], ...]
    loading: float = 0.0
    undone: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Seconds of all steps that ran, without loading."""
        return sum(seconds or 0.0 for _, seconds, _ in self.steps)

    @property
    def steps_run(self) -> tuple[str, ...]:
        """Ids of the steps that ran."""
        return tuple(step for step, _, ran in self.steps if ran)

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a step."""
        return [
            {"step": s, "seconds": None if t is None else round(t, 2), "state": self._state(s, ran)}
            for s, t, ran in self.steps
        ]

    def _state(self, step: str, ran: bool) -> str:  # noqa: FBT001 - as it stands in ``steps``
        return "ran" if ran else self.undone.get(step, "cached")

    def to_frame(self) -> pd.DataFrame:
        """Columns ``step``, ``seconds``, ``state``."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def __getitem__(self, step: str) -> float:
        seconds = {s: t or 0.0 for s, t, _ in self.steps}
        if step not in seconds:
            raise ArgumentError(f"This run had no step {step!r}.", got=step, valid=seconds)
        return seconds[step]

    def __repr__(self) -> str:
        loading = (
            [{"step": "(loading libraries)", "seconds": round(self.loading, 2), "state": ""}] if self.loading else []
        )
        return text_table([*self.rows(), *loading])


@dataclass(frozen=True)
class Result(Generic[A]):
    """A view of one artifact."""

    artifact: A

    @property
    def path(self) -> Path:
        """The artifact's folder."""
        return self.artifact.path


class Tabular(Result[A]):
    """A result that is a table."""

    def rows(self) -> list[dict[str, Any]]:
        """One mapping a row."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its rows are")

    def to_frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def __repr__(self) -> str:
        return text_table(self.rows())
