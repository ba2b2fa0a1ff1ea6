"""What a default feature is in TensorFlow: from the tensor of a column to that of the feature."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf
import tensorflow_transform as tft

from fluent_pipe.components.label_analysis import MISSING, UNKNOWN

TOP_WORDS = 10_000
"""Most words of a vocabulary."""
TEXT_BUCKETS = 64
MISSING_TEXT = "<missing>"

Kind = Literal["number", "flag", "category", "text", "vector", "numbers", "texts"]


@dataclass(frozen=True)
class Feature:
    """How one column becomes a feature.

    Parameters
    ----------
    name
        Of the column and of the feature.
    kind
        Row of the table in :mod:`~fluent_pipe.components.default_features`.
    indicator
        Name of the 0/1 feature for "missing"; None if the column always has a value.
    values
        Of a ``"category"``: the numbers, in order.
    threshold
        Of a ``"text"``: how often a text must occur to get into the vocabulary.
    column
        Of the input, where the feature has another name.
    """

    name: str
    kind: Kind
    indicator: str | None = None
    values: tuple[int, ...] = ()
    threshold: int | None = None
    column: str | None = None

    @property
    def vocabulary(self) -> str:
        """Name of the vocabulary's file; TFT takes it for a scope of the graph too, which must be ASCII."""
        if re.fullmatch(r"[A-Za-z0-9_]+", self.name):
            return self.name
        return f"vocabulary_{hashlib.blake2b(self.name.encode(), digest_size=8).hexdigest()}"


@dataclass(frozen=True)
class LabelColumn:
    """How the label column becomes the label.

    Parameters
    ----------
    name
        Of the column and of the label.
    kind
        ``"index"``: place among ``values``; ``"whole"``: int64; ``"float"``: float32.
    values
        Of an ``"index"``: the values in order, numbers or texts (bytes).
    """

    name: str
    kind: Literal["index", "whole", "float"]
    values: tuple[Any, ...] = ()

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Texts of the values of an ``"index"``."""
        if self.kind != "index":
            return None
        return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in self.values)


def _first(tensor: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """The first value of each row, and whether there is one; both ``[batch]``."""
    if isinstance(tensor, tf.RaggedTensor):
        tensor = tensor.to_sparse()
    if not isinstance(tensor, tf.SparseTensor):
        values = tf.reshape(tensor, [-1])
        return values, tf.ones_like(values, dtype=tf.bool)
    shape = [tensor.dense_shape[0], tf.maximum(tensor.dense_shape[1], 1)]
    padded = tf.SparseTensor(tensor.indices, tensor.values, shape)
    present = tf.SparseTensor(tensor.indices, tf.ones_like(tensor.values, dtype=tf.int64), shape)
    return tf.sparse.to_dense(padded)[:, 0], tf.sparse.to_dense(present)[:, 0] > 0


def _numbers(tensor: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """The first value of each row as a finite float32, 0 where there is none, and whether there is one."""
    values, present = _first(tensor)
    values = tf.cast(values, tf.float32)
    present = present & tf.math.is_finite(values)
    return tf.where(present, values, 0.0), present


def _standardized(values: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """Z-score over the present values; 0 elsewhere."""
    rows = tf.where(present)
    size = tf.shape(values, out_type=tf.int64)[0]
    sparse = tf.SparseTensor(
        tf.concat([rows, tf.zeros_like(rows)], axis=1), tf.boolean_mask(values, present), tf.stack([size, 1])
    )
    return tf.reshape(tf.sparse.to_dense(tft.scale_to_z_score(sparse)), [-1])


def _with_indicator(feature: Feature, values: tf.Tensor, present: tf.Tensor) -> dict[str, tf.Tensor]:
    outputs = {feature.name: values}
    if feature.indicator is not None:
        outputs[feature.indicator] = 1.0 - tf.cast(present, tf.float32)
    return outputs


def _number(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    values, present = _numbers(tensor)
    return _with_indicator(feature, _standardized(values, present), present)


def _flag(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    return _with_indicator(feature, *_numbers(tensor))


def _category(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    values, present = _first(tensor)
    place, known = _place(tf.constant(feature.values, tf.int64), values)
    return {feature.name: tf.where(present & known, place, len(feature.values))}


def _place(ordered: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where each value is in ``ordered``, and whether it is there."""
    place = tf.searchsorted(ordered, values, out_type=tf.int64)
    place = tf.minimum(place, tf.size(ordered, out_type=tf.int64) - 1)
    return place, tf.equal(tf.gather(ordered, place), values)


def _text(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    values, present = _first(tensor)
    filled = tf.where(present & (tf.strings.length(values) > 0), values, MISSING_TEXT)
    return {
        feature.name: tft.compute_and_apply_vocabulary(
            filled,
            top_k=TOP_WORDS,
            frequency_threshold=feature.threshold,
            num_oov_buckets=1,
            vocab_filename=feature.vocabulary,
        )
    }


def _vector(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    if isinstance(tensor, (tf.SparseTensor, tf.RaggedTensor)):
        return _pooled_numbers(feature, tensor)
    size = int(tensor.shape[1:].num_elements() or 1)
    values = tf.cast(tf.reshape(tensor, [-1, size]), tf.float32)
    values = tf.where(tf.math.is_finite(values), values, 0.0)
    return {feature.name: tf.reshape(tft.scale_to_z_score(values, elementwise=True), [-1, size])}


def _flat(tensor: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """All values, the row of each, and the number of rows."""
    if isinstance(tensor, tf.RaggedTensor):
        tensor = tensor.to_sparse()
    if isinstance(tensor, tf.Tensor):
        rows = tf.shape(tensor, out_type=tf.int64)[0]
        width = tf.size(tensor, out_type=tf.int64) // tf.maximum(rows, 1)
        return tf.reshape(tensor, [-1]), tf.repeat(tf.range(rows), width), rows
    return tensor.values, tensor.indices[:, 0], tensor.dense_shape[0]


def _pooled_numbers(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    values, owners, rows = _flat(tensor)
    values = tf.cast(values, tf.float32)
    finite = tf.math.is_finite(values)
    values, owners = tf.boolean_mask(values, finite), tf.boolean_mask(owners, finite)
    mean = tf.math.unsorted_segment_mean(values, owners, rows)
    present = tf.math.unsorted_segment_sum(tf.ones_like(values), owners, rows) > 0
    return _with_indicator(feature, _standardized(mean, present), present)


def _pooled_texts(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    values, owners, rows = _flat(tensor)
    places = owners * TEXT_BUCKETS + tf.strings.to_hash_bucket_fast(values, TEXT_BUCKETS)
    counts = tf.math.unsorted_segment_sum(tf.ones_like(places, dtype=tf.float32), places, rows * TEXT_BUCKETS)
    counts = tf.reshape(counts, [-1, TEXT_BUCKETS])
    return {feature.name: tf.math.divide_no_nan(counts, tf.reduce_sum(counts, axis=1, keepdims=True))}


_TRANSFORMS = {
    "number": _number,
    "flag": _flag,
    "category": _category,
    "text": _text,
    "vector": _vector,
    "numbers": _pooled_numbers,
    "texts": _pooled_texts,
}


def transformed(feature: Feature, tensor: Any) -> dict[str, tf.Tensor]:
    """The feature, and its indicator where it has one."""
    return _TRANSFORMS[feature.kind](feature, tensor)


def weight_tensor(tensor: Any) -> tf.Tensor:
    """The weights, float32 ``[batch]``; 0 where there is none."""
    return _numbers(tensor)[0]


def label_tensor(label: LabelColumn, tensor: Any, weights: tf.Tensor | None) -> tf.Tensor:
    """The label, int64 or float32 ``[batch]``; ``MISSING``, ``UNKNOWN`` or NaN where it has no value."""
    values, present = _first(tensor)
    if label.kind == "float":
        values, nothing = tf.cast(values, tf.float32), tf.constant(float("nan"))
    elif label.kind == "whole":
        nothing = tf.constant(MISSING, tf.int64)
    else:
        if values.dtype == tf.string:
            present = present & (tf.strings.length(values) > 0)
        values = _class_index(label.values, values)
        nothing = tf.constant(MISSING, tf.int64)
    if weights is not None:
        # A row that does not count may lack its label; 0 keeps the loss finite there.
        nothing = tf.where(weights == 0.0, tf.zeros_like(nothing), nothing)
    return tf.where(present, values, nothing)


def _class_index(classes: tuple[Any, ...], values: tf.Tensor) -> tf.Tensor:
    if values.dtype != tf.string:
        place, known = _place(tf.constant(classes, tf.int64), values)
        return tf.where(known, place, UNKNOWN)
    same = tf.equal(values[:, tf.newaxis], tf.constant(classes, tf.string)[tf.newaxis, :])
    return tf.where(tf.reduce_any(same, axis=1), tf.argmax(tf.cast(same, tf.int32), axis=1), UNKNOWN)
