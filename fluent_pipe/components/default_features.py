"""Sensible features from the schema, for a pipeline whose user gives no ``preprocessing_fn``.

==========================  =======================================================================================
column                      feature of the same name
==========================  =======================================================================================
number                      float32: z-score; missing and infinite values become 0, the mean
0 and 1 only                float32 as it is
few whole numbers           int64: place of the value among those seen, in order; one more for any other or missing
text                        int64: place in the vocabulary of the same name; ``"<missing>"`` is a value of its own
numbers, fixed shape        float32 vector: z-score of each place
numbers, any number         float32: z-score of the mean
texts, any number           float32 vector of ``TEXT_BUCKETS``: share of the row's texts in each hash bucket
==========================  =======================================================================================

A number that may be missing also gives ``<column>_missing``, 0 or 1. Columns with one value, or none, are left out.
Keras takes no ``/`` in the name of an input, so a feature has ``_`` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2

from fluent_pipe.components.column_facts import ColumnFacts
from fluent_pipe.components.feature_transforms import (
    TOP_WORDS,
    Feature,
    Kind,
    LabelColumn,
    label_tensor,
    transformed,
    weight_tensor,
)
from fluent_pipe.errors import InputError, TrainingError

FEW_VALUES = 64
"""Most distinct whole numbers that are taken for categories."""


@dataclass(frozen=True)
class DefaultFeatures:
    """A ``preprocessing_fn`` made from the schema; see :func:`default_features`."""

    features: tuple[Feature, ...]
    label: LabelColumn | None = None
    weight: str | None = None

    where = "the default features"

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Transformed features of a batch: float32 or int64, each ``[batch]`` or ``[batch, size]``."""
        outputs: dict[str, Any] = {}
        for feature in self.features:
            outputs.update(transformed(feature, inputs[feature.column or feature.name]))
        weights = None
        if self.weight is not None:
            weights = weight_tensor(inputs[self.weight])
            outputs[self.weight] = weights
        if self.label is not None:
            outputs[self.label.name] = label_tensor(self.label, inputs[self.label.name], weights)
        return outputs

    def sizes(self) -> dict[str, int]:
        """Number of ids of the categories; they have no vocabulary file."""
        return {f.name: len(f.values) + 1 for f in self.features if f.kind == "category"}

    def categories(self) -> dict[str, list[int]]:
        """Values by id, of the categories."""
        return {f.name: list(f.values) for f in self.features if f.kind == "category"}


def limits(schema: schema_pb2.Schema) -> dict[str, int]:
    """How many distinct values of each column :func:`default_features` wants to know of."""
    return {f.name: FEW_VALUES if f.type == schema_pb2.INT else 1 for f in schema.feature}


def default_features(
    schema: schema_pb2.Schema,
    facts: Mapping[str, ColumnFacts],
    *,
    label: str | None = None,
    weight: str | None = None,
) -> DefaultFeatures:
    """Choose a feature for each column.

    Parameters
    ----------
    schema
        Features that may be used.
    facts
        What was seen of the first split, where it could be looked at; a column without facts is judged by the
        schema alone. Those of ``label`` decide its classes.
    label, weight
        Columns with these roles.

    Raises
    ------
    TrainingError
        If ``label`` or ``weight`` is not a column, or the label has too many texts to be classes.
    InputError
        If no column is left to learn from.
    """
    columns = {f.name: f for f in schema.feature}
    for role, name in (("Label", label), ("Weight", weight)):
        if name is not None and name not in columns:
            raise TrainingError(f"{role} {name!r} is not a column of the schema.", got=name, valid=sorted(columns))
    if weight is not None and columns[weight].type == schema_pb2.BYTES:
        raise TrainingError(f"Weight {weight!r} is text.", fix="Give a column of numbers.")
    used = [f for f in schema.feature if f.name not in (label, weight) and not _constant(facts.get(f.name))]
    if not used:
        raise InputError(
            "No column is left to learn from: all have the same value in every row, or none.",
            where="the default features",
            got=sorted(columns),
        )
    taken = set(columns)
    features = tuple(_feature(f, facts.get(f.name), taken) for f in used)
    return DefaultFeatures(features, None if label is None else _label_column(columns[label], facts.get(label)), weight)


def _constant(facts: ColumnFacts | None) -> bool:
    return (
        facts is not None
        and facts.values is not None
        and (not facts.values or (len(facts.values) == 1 and not facts.nulls))
    )


def _feature(column: schema_pb2.Feature, facts: ColumnFacts | None, taken: set[str]) -> Feature:
    name, renamed = column.name, None
    if "/" in name:
        name, renamed = _unused(name.replace("/", "_"), taken), column.name
    kind = _kind(column, facts)
    if kind == "category":
        return Feature(name, kind, values=_category_values(column, facts) or (), column=renamed)
    if kind == "text":
        # A text that occurs once teaches nothing; a column of few texts keeps them all.
        few = column.HasField("domain") or column.HasField("string_domain")
        return Feature(name, kind, threshold=None if few else 2, column=renamed)
    indicator = None
    if kind in ("number", "flag", "numbers") and _may_miss(column, facts):
        indicator = _unused(f"{name}_missing", taken)
    return Feature(name, kind, indicator, column=renamed)


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _kind(column: schema_pb2.Feature, facts: ColumnFacts | None) -> Kind:
    text = column.type == schema_pb2.BYTES
    size = 1
    for dim in column.shape.dim:
        size *= dim.size
    if size != 1:
        return "texts" if text else "vector"
    if not column.HasField("shape") and (column.value_count.max != 1 or column.HasField("value_counts")):
        return "texts" if text else "numbers"
    if text:
        return "text"
    if column.HasField("bool_domain") or (facts is not None and facts.values and facts.values <= {0, 1}):
        return "flag"
    if column.type == schema_pb2.INT and _category_values(column, facts):
        return "category"
    return "number"


def _category_values(column: schema_pb2.Feature, facts: ColumnFacts | None) -> tuple[int, ...] | None:
    domain = column.int_domain
    if domain.is_categorical and domain.HasField("min") and 0 <= domain.max - domain.min <= TOP_WORDS:
        return tuple(range(domain.min, domain.max + 1))
    return facts.ordered if facts is not None else None


def _may_miss(column: schema_pb2.Feature, facts: ColumnFacts | None) -> bool:
    return column.presence.min_fraction < 1 or bool(facts is not None and facts.nulls)


def _label_column(column: schema_pb2.Feature, facts: ColumnFacts | None) -> LabelColumn:
    values = facts.ordered if facts is not None else None
    if column.type == schema_pb2.BYTES:
        if values is None:
            raise TrainingError(
                f"Label {column.name!r} is text with too many different values to be classes, or none were seen.",
                fix="Give preprocess() a function that makes the label.",
            )
        return LabelColumn(column.name, "index", tuple(v for v in values if v))
    if column.type == schema_pb2.FLOAT:
        return LabelColumn(column.name, "float")
    if facts is None or (values is not None and values == tuple(range(len(values)))):
        return LabelColumn(column.name, "whole")
    # Whole numbers: a few are classes, many are an amount.
    return (
        LabelColumn(column.name, "float")
        if values is None or len(values) > FEW_VALUES
        else LabelColumn(column.name, "index", values)
    )
