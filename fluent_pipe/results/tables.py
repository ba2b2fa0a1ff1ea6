"""What every result is: a view of one artifact that prints, draws itself, and is a frame where it is tabular."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from fluent_pipe.display.text import text_table
from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps.base import A

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed


class Drawn:
    """What draws itself: as text in a terminal, as HTML in a notebook and on our pages."""

    def drawn(self, embed: Embed) -> Markup:
        """The picture, as HTML.

        Parameters
        ----------
        embed
            How charts get into it: :func:`~fluent_pipe.display.charts.as_image` in a notebook,
            :func:`~fluent_pipe.display.charts.inline` on a page of ours.
        """
        from fluent_pipe.display.markup import tag

        return tag("pre", repr(self))

    def show(self) -> None:
        """Draw it in the notebook's cell that runs, or print it."""
        from fluent_pipe.display.showing import show

        show(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from fluent_pipe.display.charts import as_image

        return {"text/plain": repr(self), "text/html": str(self.drawn(as_image))}


@dataclass(frozen=True)
class Timings(Drawn):
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

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.timings import draw_timings

        return embed(draw_timings([*self.rows(), *self._loading()]))

    def __repr__(self) -> str:
        return text_table([*self.rows(), *self._loading()])

    def _loading(self) -> list[dict[str, Any]]:
        loading = {"step": "(loading libraries)", "seconds": round(self.loading, 2), "state": ""}
        return [loading] if self.loading else []


@dataclass(frozen=True)
class Result(Drawn, Generic[A]):
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

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.tables import html_table

        return html_table(self.rows(), embed)

    def __repr__(self) -> str:
        return text_table(self.rows())
