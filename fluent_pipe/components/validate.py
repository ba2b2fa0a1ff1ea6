"""``validate``: statistics against the schema, an earlier run, and each other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import apache_beam as beam
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from fluent_pipe.artifacts import Folder, address_of, folder_of
from fluent_pipe.components.base import Component, Context, Live, once
from fluent_pipe.components.comparators import (
    Kind,
    add,
    compare,
    distances,
    limits_by_column,
    limits_of_schema,
    too_many_values,
    without_comparators,
)
from fluent_pipe.components.inputs import SchemaInput, StatisticsInput
from fluent_pipe.components.statistics import load
from fluent_pipe.components.statistics_protos import Dataset, all_rows, common, name_of, value_counts
from fluent_pipe.errors import InputError
from fluent_pipe.steps import data
from fluent_pipe.steps.base import Pairs

DETAIL_LENGTH = 400

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList
Reason = anomalies_pb2.AnomalyInfo


class Validate(Component):
    """TFDV's anomalies of every split, with drift and skew really compared.

    Anomalies do not fail the job: they are its result, in ``anomalies.json``, and who reads that decides. It holds
    ``{"anomalies": [{"split", "column", "anomaly", "detail", "count", "severity"}], "drift": [{"split", "column",
    "kind", "measure", "value", "threshold"}], "baseline": folder or null, "notes": [str], "passed": bool}``.
    ``column`` is null for an anomaly of the whole split; ``count`` is rows, null where the statistics do not tell;
    ``passed`` is false if an anomaly has the severity ``ERROR``. ``drift`` has every distance that was measured, also
    below its threshold. For ``"kind": "skew"`` it is that of ``split`` from the first split. ``notes`` says what was
    to be compared and was not.

    Distances are TFDV's, between numeric columns on common cells (``on_common_cells`` in ``statistics`` says why):
    TFDV's own binning reads up to 0.6 between samples of the same data. A limit by Jensen-Shannon for ``"*"`` leaves
    out columns of strings with so many values that chance makes them differ, and says so in ``notes``.

    Parameters
    ----------
    step
        What was asked for.
    context
        Where to write: ``Split-<name>/SchemaDiff.pb`` and ``anomalies.json``.
    statistics
        Statistics of every split.
    schema
        What they are held against.
    against
        An earlier Statistics artifact, or its folder, for drift; None if there is none.

    Raises
    ------
    InputError
        While the job runs, if a limit is on a column that does not exist or that its measure does not suit, or if
        ``against`` holds no statistics.
    """

    def __init__(
        self,
        step: data.Validate,
        context: Context,
        statistics: StatisticsInput,
        schema: SchemaInput,
        against: Folder | None,
    ) -> None:
        super().__init__(context)
        self.step = step
        self.statistics = statistics
        self.schema = schema
        self.against = against

    def build(self, pipeline: beam.Pipeline) -> Live:
        """Nothing flows on."""
        splits = self.step.split_names
        sides = [beam.pvalue.AsSingleton(self.statistics.read(pipeline, split)) for split in splits]
        check = _Check(self.context, splits, self.step.drift, self.step.skew, self.against)
        once(pipeline, "Validate", self.context, check, beam.pvalue.AsSingleton(self.schema.read(pipeline)), *sides)
        return {}


@dataclass(frozen=True)
class _Check:
    context: Context
    splits: tuple[str, ...]
    drift: Pairs
    skew: Pairs
    against: Folder | None

    def __call__(self, schema: schema_pb2.Schema, *statistics: Statistics) -> None:
        current = dict(zip(self.splits, statistics, strict=True))
        first = all_rows(statistics[0])
        # What the call asks for comes last, so that it wins over the schema's own comparators.
        asked: dict[Kind, Pairs] = {
            "drift": (*limits_of_schema("drift", schema), *self.drift),
            "skew": (*limits_of_schema("skew", schema), *self.skew),
        }
        limits: dict[Kind, Any] = {
            "drift": limits_by_column("drift", asked["drift"], schema, first),
            "skew": limits_by_column("skew", asked["skew"], schema, first),
        }
        plain = without_comparators(schema)
        earlier = self._earlier()
        facts: dict[str, Any] = {"anomalies": [], "drift": []}
        left_out: dict[tuple[Kind, str, str], str] = {}
        for split, own in current.items():
            serving = statistics[0] if split != self.splits[0] else None
            # With both sides, for what the schema says of the whole dataset.
            found = tfdv.validate_statistics(
                own, plain, previous_statistics=earlier.get(split), serving_statistics=serving
            )
            found.ClearField("baseline")  # the schema lies in its own artifact
            controls: list[tuple[Kind, Pairs, Statistics | None]] = [
                ("drift", asked["drift"], earlier.get(split)), ("skew", asked["skew"], serving)
            ]  # fmt: skip
            for kind, wanted, control in controls:
                if control is not None:
                    many = too_many_values(wanted, own, control)
                    left_out |= {(kind, split, column): many[column] for column in limits[kind] if column in many}
                    limit = {column: limit for column, limit in limits[kind].items() if column not in many}
                    add(found, compare(kind, schema, limit, own, control))
            self._write_split(split, found)
            facts["anomalies"] += entries(found, all_rows(own), schema, split=split, first=self.splits[0])
            facts["drift"] += distances(found, split)
        facts["baseline"] = None if self.against is None else address_of(self.against)
        facts["notes"] = list(self._not_compared(limits, earlier, facts["drift"], left_out))
        facts["passed"] = all(entry["severity"] != "ERROR" for entry in facts["anomalies"])
        (self.context.folder / "anomalies.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")

    def _earlier(self) -> dict[str, Statistics]:
        if self.against is None:
            return {}
        folder = folder_of(self.against)
        found = {split: load(folder, split) for split in self.splits}
        earlier = {split: statistics for split, statistics in found.items() if statistics is not None}
        if not earlier:
            held = sorted(split.name.removeprefix("Split-") for split in folder.glob("Split-*"))
            raise InputError(
                f"validate(against=): {str(folder)!r} holds no statistics of {' or '.join(self.splits)}.",
                valid=held,
                fix="Give the folder of a Statistics artifact.",
            )
        return earlier

    def _write_split(self, split: str, anomalies: anomalies_pb2.Anomalies) -> None:
        file = self.context.folder / f"Split-{split}" / "SchemaDiff.pb"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(anomalies.SerializeToString(deterministic=True))

    def _not_compared(
        self,
        limits: Mapping[Kind, Any],
        earlier: Mapping[str, Statistics],
        measured: list[dict[str, Any]],
        left_out: Mapping[tuple[Kind, str, str], str],
    ) -> Iterator[str]:
        """A comparison that was asked for and not made is said, never passed over."""
        done = {(entry["kind"], entry["split"], entry["column"]) for entry in measured} | set(left_out)
        for (kind, split, column), reason in left_out.items():
            what = f"{kind.capitalize()} of {column!r} in split {split!r}"
            yield f'{what} was left out of "*": {reason}. Name the column to have it compared.'
        if limits["drift"] and self.against is None:
            yield "Drift was not measured: there is no earlier run on other data to compare with."
        if limits["skew"] and len(self.splits) < 2:
            yield "Skew was not measured: there is one split only."
        for split in self.splits:
            if limits["drift"] and earlier and split not in earlier:
                yield f"Drift of split {split!r} was not measured: the earlier statistics do not have it."
            due: list[tuple[Kind, bool]] = [("drift", split in earlier), ("skew", split != self.splits[0])]
            for kind, comparable in due:
                lacking = [column for column in limits[kind] if comparable and (kind, split, column) not in done]
                if lacking:
                    what = f"{kind.capitalize()} of {', '.join(lacking)} in split {split!r}"
                    yield f"{what} could not be measured: one side has no values, or values of another kind."


def entries(
    anomalies: anomalies_pb2.Anomalies, dataset: Dataset, schema: schema_pb2.Schema, *, split: str, first: str
) -> Iterator[dict[str, Any]]:
    """Each reason of each anomaly, as ``anomalies.json`` has it."""
    features = {name_of(feature): feature for feature in dataset.features}
    if anomalies.data_missing:
        yield _entry(split, None, "No data", "The split has no rows.", 0, "ERROR")
    for reason in anomalies.dataset_anomaly_info.reason:
        severity = Reason.Severity.Name(anomalies.dataset_anomaly_info.severity)
        yield _entry(split, None, reason.short_description, reason.description, None, severity)
    for key, info in sorted(anomalies.anomaly_info.items()):
        column = ".".join(info.path.step) or key
        for reason in info.reason:
            count = _rows(reason.type, features[column], column, schema) if column in features else None
            short, detail = (_clear(text, split, first) for text in (reason.short_description, reason.description))
            yield _entry(split, column, short, detail, count, Reason.Severity.Name(info.severity))


def _entry(
    split: str, column: str | None, anomaly: str, detail: str, count: int | None, severity: str
) -> dict[str, Any]:
    detail = detail.strip()
    detail = detail if len(detail) <= DETAIL_LENGTH else detail[:DETAIL_LENGTH].rsplit(" ", 1)[0].rstrip(",") + " ..."
    return {
        "split": split,
        "column": column,
        "anomaly": anomaly,
        "detail": detail,
        "count": count,
        "severity": severity,
    }


def _clear(text: str, split: str, first: str) -> str:
    """TFDV's words for the two sides of a comparison, in ours."""
    text = text.replace("training and serving", f"splits {first!r} and {split!r}")
    return text.replace("current and previous", "this and the earlier run")


def _rows(
    reason: int, feature: statistics_pb2.FeatureNameStatistics, column: str, schema: schema_pb2.Schema
) -> int | None:
    """Rows that an anomaly is about, where the statistics tell."""
    match reason:
        case Reason.ENUM_TYPE_UNEXPECTED_STRING_VALUES:
            expected = set(_domain(column, schema))
            return sum(count for value, count in value_counts(feature).items() if value not in expected)
        case Reason.FEATURE_TYPE_LOW_FRACTION_PRESENT | Reason.FEATURE_TYPE_NOT_PRESENT:
            return int(common(feature).num_missing)
        case Reason.SCHEMA_NEW_COLUMN:
            return int(common(feature).num_non_missing)
        case _:
            return None


def _domain(column: str, schema: schema_pb2.Schema) -> Iterator[str]:
    for feature in schema.feature:
        if feature.name == column:
            yield from feature.string_domain.value
            yield from (v for domain in schema.string_domain if domain.name == feature.domain for v in domain.value)
