"""Limits on drift and skew, put into a schema as TFDV's comparators, and the distances that TFDV measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from fluent_pipe.components.statistics import Dataset, Feature, common, name_of
from fluent_pipe.errors import InputError
from fluent_pipe.steps.base import Pairs
from fluent_pipe.steps.limits import Distance

Kind = Literal["drift", "skew"]

EVERY = "*"

_MEASURES = {
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "jensen_shannon_divergence",
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "infinity_norm",
    anomalies_pb2.DriftSkewInfo.Measurement.NORMALIZED_ABSOLUTE_DIFFERENCE: "normalized_abs_difference",
}


def limits_by_column(kind: Kind, limits: Pairs, schema: schema_pb2.Schema, dataset: Dataset) -> dict[str, Distance]:
    """The limit of every column that has one. A column's own limit is used in place of that of ``"*"``.

    Parameters
    ----------
    kind
        Whose limits they are.
    limits
        By column; ``"*"`` is every column that the measure suits.
    schema
        Whose columns there are.
    dataset
        Statistics that tell what a column holds.

    Raises
    ------
    InputError
        If a column does not exist, or its values cannot be compared by the measure.
    """
    given: dict[str, Distance] = dict(limits)
    names = [feature.name for feature in schema.feature]
    counted = {name_of(feature): feature for feature in dataset.features}
    for column, limit in given.items():
        if column == EVERY:
            continue
        if column not in names:
            raise InputError(f"validate({kind}=): there is no column {column!r}.", got=column, valid=names)
        if column in counted and not _suits(limit, counted[column]):
            raise InputError(
                f"validate({kind}=): infinity_norm compares the shares of categories, and {column!r} holds numbers.",
                fix="Use jensen_shannon for it, or make it a string column.",
            )
    every = given.pop(EVERY, None)
    if every is None:
        return given
    suited = [name for name in names if name in counted and _suits(every, counted[name])]
    return {**dict.fromkeys(suited, every), **given}


def _suits(limit: Distance, feature: Feature) -> bool:
    # TFDV measures the infinity norm of a column without counts of its values as 0, so that it would never fire.
    return limit.measure != "infinity_norm" or feature.HasField("string_stats") or not common(feature).num_non_missing


def with_comparators(
    schema: schema_pb2.Schema, drift: Mapping[str, Distance], skew: Mapping[str, Distance]
) -> schema_pb2.Schema:
    """A copy of the schema that has TFDV compare these columns too; of a column's comparators, ours is used."""
    copy = schema_pb2.Schema()
    copy.CopyFrom(schema)
    for feature in copy.feature:
        for limits, comparator in ((drift, feature.drift_comparator), (skew, feature.skew_comparator)):
            if feature.name in limits:
                limit = limits[feature.name]
                comparator.Clear()
                getattr(comparator, limit.measure).threshold = limit.threshold
    return copy


def distances(anomalies: anomalies_pb2.Anomalies, split: str) -> Iterator[dict[str, Any]]:
    """Every distance that TFDV measured, also those below their limit."""
    for info in anomalies.drift_skew_info:
        measured = [("drift", m) for m in info.drift_measurements] + [("skew", m) for m in info.skew_measurements]
        for kind, measurement in measured:
            yield {
                "split": split,
                "column": ".".join(info.path.step),
                "kind": kind,
                "measure": _MEASURES.get(measurement.type, "unknown"),
                "value": measurement.value,
                "threshold": measurement.threshold,
            }
