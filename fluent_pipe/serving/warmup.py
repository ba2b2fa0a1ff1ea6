"""Warm-up requests inside a SavedModel: a server plays them when it loads the model, so that no user waits for that.

Format: https://www.tensorflow.org/tfx/serving/saved_model_warmup. A TFRecord file of ``PredictionLog``, at most 1000.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from fluent_pipe.serving.signatures import Signature
from fluent_pipe.serving.trial import FILE, MOST_RECORDS

BATCH_SIZES = (1, 4, 16)


def write_warmup(model: Path, signatures: Iterable[Signature], rows: pa.RecordBatch) -> int:
    """Put requests of real rows into ``model``, for each signature one of every size in ``BATCH_SIZES``.

    Parameters
    ----------
    model
        A SavedModel; changed.
    signatures
        What is asked.
    rows
        Flat columns; the first of them are used, and a size of more rows than there are is left out.

    Returns
    -------
    int
        Requests written.
    """
    sizes = [size for size in BATCH_SIZES if size <= rows.num_rows]
    requests = [_request(signature, rows.slice(0, size)) for signature in signatures for size in sizes]
    (model / FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(model / FILE)) as writer:
        for request in requests[:MOST_RECORDS]:
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return min(len(requests), MOST_RECORDS)


def _request(signature: Signature, rows: pa.RecordBatch) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "model"  # a server plays requests on the model they lie in, whatever its name
    request.model_spec.signature_name = signature.name
    for name, values in signature.tensors(rows).items():
        tensor = tf.make_tensor_proto(values, dtype=signature.inputs[name].dtype)
        request.inputs[name].CopyFrom(tensor)
    return request
