"""What steps that prove, push and use a model leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import (
    Approval,
    InfraBlessing,
    Predictions,
    PushedModel,
)
from fluent_pipe.display.text import text_table
from fluent_pipe.errors import StoreError
from fluent_pipe.remote import is_remote, joined
from fluent_pipe.results.tables import Result, Tabular
from fluent_pipe.steps.destinations import REJECTED, holds, names_at

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed


class ApprovalResult(Result[Approval]):
    """What a person decided."""

    @property
    def approved(self) -> bool:
        """Whether the model was approved."""
        return bool(self.artifact.facts()["approved"])

    @property
    def by(self) -> str:
        """Who decided; empty where there was nothing to decide."""
        return str(self.artifact.facts()["by"])

    @property
    def note(self) -> str:
        """Why, in their words."""
        return str(self.artifact.facts()["note"])

    def __bool__(self) -> bool:
        return self.approved

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.verdicts import draw_approval

        return draw_approval(self.artifact.facts())

    def __repr__(self) -> str:
        facts = self.artifact.facts()
        if not self.by:
            return f"not approved: {self.note}"
        head = f"{'approved' if self else 'rejected'} by {self.by} at {facts['at']}"
        return f"{head}: {self.note}" if self.note else head


class InfraResult(Tabular[InfraBlessing]):
    """What a prediction server made of the model; one row a figure."""

    @property
    def blessed(self) -> bool:
        """Whether the model serves, within all limits."""
        return bool(self.artifact.facts()["blessed"])

    @property
    def reasons(self) -> list[str]:
        """Why the model was refused; empty if it was not."""
        return list(self.artifact.facts()["reasons"])

    @property
    def latency_ms(self) -> dict[str, float] | None:
        """Milliseconds of the 50th, 95th and 99th percentile; None where no request was timed."""
        found: dict[str, float] | None = self.artifact.facts()["latency_ms"]
        return found

    @property
    def load_seconds(self) -> float | None:
        """Seconds until the model was loaded; None for a server that ran before."""
        seconds: float | None = self.artifact.facts()["load_seconds"]
        return seconds

    @property
    def memory_mb(self) -> float | None:
        """Largest resident memory of the server in MB; None for a server that ran before."""
        memory: float | None = self.artifact.facts()["memory_mb"]
        return memory

    def rows(self) -> list[dict[str, Any]]:
        """Figure, value and limit, of those that were measured; the limit where there are any."""
        from fluent_pipe.display.infra import infra_rows

        return infra_rows(self.artifact.facts())

    def __bool__(self) -> bool:
        return self.blessed

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.infra import draw_infra

        return draw_infra(self.artifact.facts(), embed)

    def __repr__(self) -> str:
        head = "infra-blessed" if self.blessed else "not infra-blessed:"
        return "\n".join([head, *(f"  {r}" for r in self.reasons), super().__repr__()])


class PushedResult(Result[PushedModel]):
    """Where the model was pushed, or why not."""

    @property
    def version(self) -> int | None:
        """Version number; None if the push was refused."""
        version: int | None = self.artifact.facts()["version"]
        return version

    @property
    def destination(self) -> Path | str | None:
        """The version's folder; text where it is a URL."""
        where = self.artifact.facts()["destination"]
        return _place(where) if where else None

    @property
    def reasons(self) -> list[str]:
        """Why the push was refused; empty if it was not."""
        return list(self.artifact.facts()["reasons"])

    def __bool__(self) -> bool:
        return self.version is not None

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.verdicts import draw_pushed

        return draw_pushed(self.artifact.facts())

    def __repr__(self) -> str:
        if self:
            return f"pushed version {self.version} to {self.destination}"
        return "not pushed:\n" + "\n".join(f"  {r}" for r in self.reasons)


class PredictionsResult(Result[Predictions]):
    """Predictions beside the columns that were kept, or why nothing was scored."""

    @property
    def destination(self) -> Path | str | None:
        """The folder of the predictions, text where it is a URL; None if nothing was scored."""
        where = self.artifact.facts()["destination"]
        return _place(where) if where else None

    @property
    def files(self) -> list[Path | str]:
        """Files of the predictions, in order; texts where they are URLs.

        Raises
        ------
        StoreError
            If the folder no longer holds them.
        """
        facts = self.artifact.facts()
        if facts["scored"] and not holds(facts):
            raise StoreError(
                "These predictions are gone: the folder was removed, or written anew.",
                where=facts["destination"],
                fix="Run the pipeline again.",
            )
        return [_place(joined(facts["destination"], name)) for name in facts["files"]]

    @property
    def reasons(self) -> list[str]:
        """Why nothing was scored; empty if it was."""
        return list(self.artifact.facts()["reasons"])

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """Rows that could not be read or scored: file, line (0: not known), reason and text."""
        from fluent_pipe.arrow.opening import open_binary

        _ = self.files  # that they are there
        folder = joined(str(self.destination or self.path), REJECTED)
        rows: list[dict[str, Any]] = []
        for name in names_at(folder):
            with open_binary(joined(folder, name)) as file:
                rows += map(json.loads, file)
        return rows

    def table(self) -> pa.Table:
        """All rows that were scored.

        Raises
        ------
        StoreError
            If they are gone.
        ArgumentError
            If they are TFRecord files.
        """
        from fluent_pipe.arrow.reading_back import read_predictions

        return read_predictions(self.files, self.artifact.facts()["format"])

    def to_frame(self) -> pd.DataFrame:
        """All rows that were scored, as a DataFrame."""
        frame: pd.DataFrame = self.table().to_pandas()
        return frame

    def __bool__(self) -> bool:
        return bool(self.artifact.facts()["scored"])

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.verdicts import draw_predictions

        return draw_predictions(self.artifact.facts(), *self._head(), embed)

    def __repr__(self) -> str:
        if not self:
            return "not scored:\n" + "\n".join(f"  {r}" for r in self.reasons)
        facts = self.artifact.facts()
        failed = facts["failed"]
        aside = f"; {failed:,} {'row' if failed == 1 else 'rows'} aside, see rejected" if failed else ""
        rows, note = self._head()
        head = text_table(rows) if rows else note
        return f"{facts['rows']:,} rows scored, in {self.destination}{aside}\n{head}".rstrip()

    def _head(self) -> tuple[list[dict[str, Any]], str]:
        """The first rows, or why there are none."""
        from fluent_pipe.arrow.reading_back import first_rows

        facts = self.artifact.facts()
        if not facts["scored"]:
            return [], ""
        if not holds(facts):
            return [], "(they are gone: the folder was removed, or written anew)"
        return first_rows(self.files, facts["format"], 5), ""


def _place(location: str) -> Path | str:
    return location if is_remote(location) else Path(location)
