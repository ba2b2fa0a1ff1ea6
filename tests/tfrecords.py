"""TFRecord files of ``tf.Example``, written by TensorFlow itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf


def example(row: Mapping[str, Any]) -> bytes:
    """A row as a serialized ``tf.Example``; None is a feature without a value."""
    features = {}
    for name, value in row.items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        if values and isinstance(values[0], int):
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        elif values and isinstance(values[0], float):
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        elif values:
            coded = [v.encode() if isinstance(v, str) else v for v in values]
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=coded))
        else:
            features[name] = tf.train.Feature()
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(path: Path, rows: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """Rows, or records as they are, as a TFRecord file; gzipped if its name ends in ``.gz``."""
    with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else "") as file:
        for row in rows:
            file.write(row if isinstance(row, bytes) else example(row))
    return path
