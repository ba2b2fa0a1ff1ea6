"""Steps that look at the data: statistics, schema, validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from fluent_pipe.artifacts import Anomalies, Examples, Schema, Statistics
from fluent_pipe.errors import AnomaliesFound, FluentPipeError
from fluent_pipe.steps.base import Earlier, Pairs, Ref, Step, streams
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.limits import SliceColumns


@dataclass(frozen=True, kw_only=True)
class GenerateStatistics(Step):
    """``generate_statistics``: TFDV statistics per split.

    Parameters
    ----------
    slices
        Columns to slice by.
    sample
        Share of rows to look at, in (0, 1]; None for all.
    options
        More arguments for ``tfdv.StatsOptions``.
    """

    examples: Ref[Examples] = streams()
    split_names: tuple[str, ...] = ()
    slices: SliceColumns = ()
    sample: float | None = None
    options: Pairs = ()

    call: ClassVar[str] = "generate_statistics"
    produces: ClassVar[tuple[type[Statistics], ...]] = (Statistics,)


@dataclass(frozen=True, kw_only=True)
class InferSchema(Step):
    """``infer_schema``: from the statistics of all splits together.

    Parameters
    ----------
    split
        The training split, whose order of columns is the schema's.
    infer_shape
        Give columns that are never missing a fixed shape.
    max_domain
        Most distinct values of a string column that still gets a domain.
    """

    statistics: Ref[Statistics] = streams()
    split: str
    infer_shape: bool = True
    max_domain: int = 100

    call: ClassVar[str] = "infer_schema"
    produces: ClassVar[tuple[type[Schema], ...]] = (Schema,)


@dataclass(frozen=True, kw_only=True)
class WithSchema(Step):
    """``with_schema``: a schema from a ``.pbtxt`` file."""

    path: str

    call: ClassVar[str] = "with_schema"
    produces: ClassVar[tuple[type[Schema], ...]] = (Schema,)

    def source_files(self) -> tuple[str, ...]:
        return (self.path,)


@dataclass(frozen=True, kw_only=True)
class CurateSchema(Step):
    """``curate_schema``: the user's function changes the schema, or returns another."""

    schema: Ref[Schema] = streams()
    function: UserFunction

    call: ClassVar[str] = "curate_schema"
    produces: ClassVar[tuple[type[Schema], ...]] = (Schema,)


@dataclass(frozen=True, kw_only=True)
class Validate(Step):
    """``validate``: statistics against the schema, an earlier run and each other.

    Parameters
    ----------
    on_anomaly
        ``"fail"`` ends the run, ``"warn"`` says so and goes on.
    drift
        Limits by column (``"*"``: every column) on the distance from ``against``.
    skew
        Limits by column on the distance between the first split and each of the others.
    against
        Statistics to compare with: those of the last run on other data, or of a given folder.
    """

    statistics: Ref[Statistics] = streams()
    schema: Ref[Schema] = streams()
    split_names: tuple[str, ...] = ()
    on_anomaly: Literal["fail", "warn"] = "fail"
    drift: Pairs = ()
    skew: Pairs = ()
    against: Earlier[Statistics] | str | None = None

    call: ClassVar[str] = "validate"
    produces: ClassVar[tuple[type[Anomalies], ...]] = (Anomalies,)
    gates: ClassVar[bool] = True

    def refused(self, facts: Mapping[str, Any]) -> FluentPipeError | None:
        found = [a for a in facts["anomalies"] if a["severity"] == "ERROR"]
        if not found or self.on_anomaly == "warn":
            return None
        lines = [_line(a) for a in found[:10]]
        more = f"\n  and {len(found) - 10} more" if len(found) > 10 else ""
        return AnomaliesFound(
            f"{len(found)} {'anomaly' if len(found) == 1 else 'anomalies'} in the data:\n  "
            + "\n  ".join(lines)
            + more
            + "\n",
            fix='Mend the data, change the schema with curate_schema(), or go on with validate(on_anomaly="warn").',
            step=self.id,
        )

    def source_files(self) -> tuple[str, ...]:
        return (f"{self.against}/**/FeatureStats.pb",) if isinstance(self.against, str) else ()

    def outside(self) -> tuple[str, ...]:
        return (self.against,) if isinstance(self.against, str) else ()


def _line(anomaly: Mapping[str, Any]) -> str:
    rows = f" ({anomaly['count']:,} rows)" if anomaly.get("count") else ""
    column = anomaly["column"] or "the dataset"
    return f"{column} ({anomaly['split']}): {anomaly['anomaly']}{rows}. {anomaly['detail']}"
