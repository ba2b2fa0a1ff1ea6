"""Limits on drift and skew: put into a schema as TFDV's comparators, and measured by TFDV over common cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from fluent_pipe.components.common_cells import on_common_cells
from fluent_pipe.components.statistics_protos import Dataset, Feature, all_rows, common, name_of
from fluent_pipe.errors import InputError
from fluent_pipe.steps.base import Pairs
from fluent_pipe.steps.limits import Distance

Kind = Literal["drift", "skew"]

EVERY = "*"

ROWS_PER_VALUE = 20
"""Rows for each distinct value that ``"*"`` asks of a column of strings. Chance alone makes the Jensen-Shannon
divergence of two samples of the same data about ``values / (2.8 rows)``: below 0.02 with so many rows a value."""

_MEASURES = {
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "jensen_shannon_divergence",
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "infinity_norm",
    anomalies_pb2.DriftSkewInfo.Measurement.NORMALIZED_ABSOLUTE_DIFFERENCE: "normalized_abs_difference",
}


def limits_of_schema(kind: Kind, schema: schema_pb2.Schema) -> Pairs:
    """The limits that the schema itself holds, as comparators of its columns."""
    comparators = ((feature.name, getattr(feature, f"{kind}_comparator")) for feature in schema.feature)
    return tuple(
        (name, Distance(measure, getattr(comparator, measure).threshold))
        for name, comparator in comparators
        for measure in ("infinity_norm", "jensen_shannon_divergence")
        if comparator.HasField(measure)
    )


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


def compare(
    kind: Kind,
    schema: schema_pb2.Schema,
    limits: Mapping[str, Distance],
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    control: statistics_pb2.DatasetFeatureStatisticsList,
) -> anomalies_pb2.Anomalies:
    """TFDV's measurements of drift or skew, and the anomalies of columns above their limit.

    TFDV is asked on copies whose numeric columns are on common cells (:func:`on_common_cells`); formula, thresholds and
    texts are its own.

    Parameters
    ----------
    kind
        Which of the schema's comparators to use.
    schema
        With comparators of its own, or none.
    limits
        By column; used in place of the schema's.
    statistics, control
        Whose anomalies they are, and what is compared with.
    """
    sides = Dataset(), Dataset()
    for side, original in zip(sides, (statistics, control), strict=True):
        side.CopyFrom(all_rows(original))
        side.name = ""
    _put_on_common_cells(*sides)
    own, other = (statistics_pb2.DatasetFeatureStatisticsList(datasets=[side]) for side in sides)
    role = {"drift": "previous_statistics", "skew": "serving_statistics"}[kind]
    found = tfdv.validate_statistics(own, with_comparators(schema, kind, limits), **{role: other})
    compared = anomalies_pb2.Anomalies(drift_skew_info=found.drift_skew_info)
    for column, info in found.anomaly_info.items():
        reasons = [r for r in info.reason if anomalies_pb2.AnomalyInfo.Type.Name(r.type).startswith("COMPARATOR_")]
        if reasons:
            compared.anomaly_info[column].CopyFrom(info)
            _set_reasons(compared.anomaly_info[column], reasons)
    return compared


def _put_on_common_cells(dataset: Dataset, control: Dataset) -> None:
    others = {name_of(feature): feature for feature in control.features}
    for feature in dataset.features:
        other = others.get(name_of(feature))
        if other is not None and all(f.HasField("num_stats") and common(f).num_non_missing for f in (feature, other)):
            for side, copy in zip((feature, other), on_common_cells(feature, other), strict=True):
                side.CopyFrom(copy)


def add(anomalies: anomalies_pb2.Anomalies, compared: anomalies_pb2.Anomalies) -> None:
    """Put what :func:`compare` found into the anomalies that TFDV found otherwise."""
    known = {tuple(info.path.step): info for info in anomalies.drift_skew_info}
    for measured in compared.drift_skew_info:
        if tuple(measured.path.step) in known:
            known[tuple(measured.path.step)].MergeFrom(
                anomalies_pb2.DriftSkewInfo(
                    drift_measurements=measured.drift_measurements, skew_measurements=measured.skew_measurements
                )
            )
        else:
            anomalies.drift_skew_info.add().CopyFrom(measured)
    for column, info in compared.anomaly_info.items():
        if column not in anomalies.anomaly_info:
            anomalies.anomaly_info[column].CopyFrom(info)
            continue
        whole = anomalies.anomaly_info[column]
        whole.severity = max(whole.severity, info.severity)
        _set_reasons(whole, [*whole.reason, *info.reason])


def _set_reasons(info: anomalies_pb2.AnomalyInfo, reasons: list[anomalies_pb2.AnomalyInfo.Reason]) -> None:
    """Reasons, and the texts that TFDV makes of them."""
    kept = [anomalies_pb2.AnomalyInfo.Reason.FromString(reason.SerializeToString()) for reason in reasons]
    del info.reason[:]
    info.reason.extend(kept)
    info.description = " ".join(reason.description for reason in kept)
    info.short_description = kept[0].short_description if len(kept) == 1 else "Multiple errors"


def too_many_values(
    limits: Pairs, statistics: statistics_pb2.DatasetFeatureStatisticsList,
    control: statistics_pb2.DatasetFeatureStatisticsList,
) -> dict[str, str]:  # fmt: skip
    """Columns of strings that ``"*"`` leaves out of a comparison, each with the reason.

    The Jensen-Shannon divergence over many values that are seen a few times each says how small the samples are, not
    that they differ; and where the statistics keep only the most frequent values, each side keeps others. Two halves of
    the same flights read 0.41 on the tail number. A column with a limit of its own is always compared, and so is every
    column by the infinity norm, which is of one value.
    """
    given: dict[str, Distance] = dict(limits)
    every = given.get(EVERY)
    if every is None or every.measure != "jensen_shannon_divergence":
        return {}
    found: dict[str, str] = {}
    for side in (statistics, control):
        for feature in all_rows(side).features:
            name, strings = name_of(feature), feature.string_stats
            if name in given or not feature.HasField("string_stats"):
                continue
            kept, rows = len(strings.rank_histogram.buckets), common(feature).tot_num_values
            if strings.unique > kept > 0:
                found.setdefault(name, f"{strings.unique:,} values, of which statistics keep {kept:,}")
            elif strings.unique * ROWS_PER_VALUE > rows:
                found.setdefault(name, f"{strings.unique:,} different values in {rows:,}")
    return found


def with_comparators(schema: schema_pb2.Schema, kind: Kind, limits: Mapping[str, Distance]) -> schema_pb2.Schema:
    """A copy of the schema that has TFDV compare these columns too; of a column's comparators, ours is used."""
    copy = schema_pb2.Schema()
    copy.CopyFrom(schema)
    for feature in copy.feature:
        if feature.name in limits:
            limit = limits[feature.name]
            comparator = getattr(feature, f"{kind}_comparator")
            comparator.Clear()
            getattr(comparator, limit.measure).threshold = limit.threshold
    return copy


def without_comparators(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """A copy of the schema that has TFDV compare no columns."""
    copy = schema_pb2.Schema()
    copy.CopyFrom(schema)
    for feature in copy.feature:
        feature.ClearField("drift_comparator")
        feature.ClearField("skew_comparator")
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
