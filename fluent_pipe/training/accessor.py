"""What TFX calls a data accessor, over our Parquet files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils
from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions

from fluent_pipe.arrow.parquet import read_batches
from fluent_pipe.arrow.tfx import to_tfx
from fluent_pipe.errors import ArgumentError
from fluent_pipe.training.columns import Feature
from fluent_pipe.training.dataset import Batches

FILLED_WITH = {"float32": float("nan"), "int64": int(np.iinfo(np.int64).min), "string": b"\x00\xff\x00"}


class DataAccessor:
    """Reads the rows of ``fn_args.train_files`` and ``fn_args.eval_files``."""

    data_view_decode_fn = None

    def tf_dataset_factory(
        self,
        file_pattern: str | Sequence[str],
        options: TensorFlowDatasetOptions,
        schema: schema_pb2.Schema | None = None,
    ) -> tf.data.Dataset:
        """Batches of features by name, shaped as the schema's feature spec says; sparse where it is variable.

        Parameters
        ----------
        file_pattern
            Patterns or names of Parquet files.
        options
            ``batch_size``, ``num_epochs`` (None repeats for ever), ``shuffle``, ``shuffle_seed``, ``drop_final_batch``
            and ``label_key``; the others tune a reader that is not used here.
        schema
            Says which columns to read; None for all. Give ``tf_transform_output.transformed_metadata.schema``.

        Returns
        -------
        tf.data.Dataset
            Of features, or of ``(features, label)`` where ``label_key`` is given.
        """
        files = _files(file_pattern)
        features = {f.name: f for f in _features(files[0], schema)}
        if options.label_key is not None and options.label_key not in features:
            raise ArgumentError(
                f"label_key {options.label_key!r} is no column of these rows.", got=options.label_key, valid=features
            )
        seed = (options.shuffle_seed or 0) if options.shuffle else None
        batches = Batches(tuple(files), tuple(features.values()), options.batch_size, shuffle_seed=seed)
        dataset = batches.dataset()
        if options.drop_final_batch:
            dataset = dataset.take(batches.rows // options.batch_size)

        def shaped(columns: dict[str, tf.Tensor]) -> Any:
            made = {name: _shaped(columns[name], feature) for name, feature in features.items()}
            return made if options.label_key is None else (made, made.pop(options.label_key))

        return dataset.map(shaped).repeat(options.num_epochs).prefetch(tf.data.AUTOTUNE)

    def record_batch_factory(
        self,
        file_pattern: str | Sequence[str],
        options: RecordBatchesOptions,
        schema: schema_pb2.Schema | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Batches of list columns, in the order of the files.

        Parameters
        ----------
        file_pattern, schema
            As for :meth:`tf_dataset_factory`.
        options
            ``batch_size`` and ``num_epochs`` (None repeats for ever).
        """
        files = _files(file_pattern)
        columns = [f.name for f in _features(files[0], schema)]
        passes = itertools.count() if options.num_epochs is None else range(options.num_epochs)
        return (
            to_tfx(batch)
            for _ in passes
            for file in files
            for batch in read_batches(file, columns=columns, rows=options.batch_size)
        )


def _files(pattern: str | Sequence[str]) -> list[Path]:
    patterns = [pattern] if isinstance(pattern, str) else list(pattern)
    files = [Path(name) for p in patterns for name in sorted(glob(str(p)))]
    if not files:
        raise ArgumentError(
            f"No file matches {', '.join(map(str, patterns)) or 'an empty list'}.",
            fix="Give fn_args.train_files or fn_args.eval_files.",
        )
    return files


def _features(file: Path, schema: schema_pb2.Schema | None) -> list[Feature]:
    columns = pq.read_schema(file)
    if schema is None:
        return [_by_type(field) for field in columns]
    spec = schema_utils.schema_as_feature_spec(schema).feature_spec
    return [_by_spec(name, kind) for name, kind in spec.items() if name in columns.names]


def _by_spec(name: str, kind: Any) -> Feature:
    if isinstance(kind, tf.io.FixedLenFeature):
        return Feature(name, kind.dtype.name, tuple(kind.shape))
    return Feature(name, kind.dtype.name, multi_valued=True, filled_with=FILLED_WITH[kind.dtype.name])


def _by_type(field: pa.Field) -> Feature:
    many = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
    kind = field.type.value_type if many else field.type
    is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    dtype = "float32" if pa.types.is_floating(kind) else "int64" if is_number else "string"
    return Feature(field.name, dtype, multi_valued=many, filled_with=FILLED_WITH[dtype] if many else None)


def _shaped(column: tf.Tensor, feature: Feature) -> Any:
    if not feature.multi_valued:
        return tf.reshape(column, [-1, *feature.shape])
    fill = feature.filled_with
    present = ~tf.math.is_nan(column) if feature.dtype == "float32" else tf.not_equal(column, fill)
    where = tf.where(present)
    return tf.SparseTensor(where, tf.gather_nd(column, where), tf.shape(column, tf.int64))
