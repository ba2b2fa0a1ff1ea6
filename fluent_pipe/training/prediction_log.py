"""Rows with their predictions as gzipped TFRecord files of ``tensorflow.serving.PredictionLog``, one record a row.

The request holds the row as a serialized ``tf.Example`` in ``examples``, the response the model's output in
``predictions``: what TensorFlow Serving logs of ``serving_default``, and TFX's BulkInferrer writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from fluent_pipe.training.raw_inputs import OUTPUT, serialized
from fluent_pipe.training.scoring import OUTPUTS, PREDICTION, PROBABILITIES

_FIELDS = {
    pa.float32(): ("float_val", tf.float32),
    pa.float64(): ("double_val", tf.float64),
    pa.int32(): ("int_val", tf.int32),
    pa.int64(): ("int64_val", tf.int64),
    pa.bool_(): ("bool_val", tf.bool),
    pa.binary(): ("string_val", tf.string),
}
"""Where a ``TensorProto`` holds the values of a type."""


class PredictionLogWriter:
    """Writes batches to one file, created at the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch of rows and predictions."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
            self._writer = tf.io.TFRecordWriter(str(self.path), options)
        answers, kind = _answers(batch)
        field, dtype = _FIELDS[kind]
        log = prediction_log_pb2.PredictionLog()
        request, response = log.predict_log.request, log.predict_log.response
        request.model_spec.signature_name = "serving_default"
        given, answered = request.inputs["examples"], response.outputs[OUTPUT]
        given.CopyFrom(tf.make_tensor_proto([b""]))
        answered.CopyFrom(tf.make_tensor_proto([answers[0]], dtype))
        answered.ClearField("tensor_content")
        values = getattr(answered, field)
        for example, answer in zip(_examples(batch), answers, strict=True):
            given.string_val[0] = example
            values[:] = answer
            self._writer.write(log.SerializeToString())
        self.rows += batch.num_rows

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()


def _answers(batch: pa.RecordBatch) -> tuple[list[list[Any]], pa.DataType]:
    """The model's output of each row, and the type of its values."""
    names = batch.schema.names
    output = batch.column(names.index(PROBABILITIES if PROBABILITIES in names else PREDICTION))
    is_list = pa.types.is_list(output.type)
    kind = output.type.value_type if is_list else output.type
    if pa.types.is_string(kind) or kind not in _FIELDS:
        kind = pa.binary() if pa.types.is_string(kind) else pa.int64()
        output = output.cast(pa.list_(kind) if is_list else kind)
    rows = output.to_pylist()
    return (rows if is_list else [[row] for row in rows]), kind


def _examples(batch: pa.RecordBatch) -> list[bytes]:
    kept = [i for i, name in enumerate(batch.schema.names) if name not in OUTPUTS]
    if not kept:
        return [b""] * batch.num_rows
    return serialized(
        pa.RecordBatch.from_arrays([batch.column(i) for i in kept], names=[batch.schema.names[i] for i in kept])
    )
