"""Requests that a model answers before it is shown to anyone: so it is warm, and is known to work.

Warm-up requests lie in the SavedModel, as a TFRecord file of at most 1000 ``PredictionLog``:
https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from fluent_pipe.errors import ServingError
from fluent_pipe.serving.model import DEFAULT_SIGNATURE, Arrays, Input, LoadedModel, Signature, reason

FILE = Path("assets.extra", "tf_serving_warmup_requests")
MOST_RECORDS = 1000

_NOT_SET_UP = (tf.errors.FailedPreconditionError, tf.errors.NotFoundError, tf.errors.UnimplementedError)
"""A variable, a table or a file that is not there, a kernel that is missing: no request can be answered."""


def try_out(model: LoadedModel) -> None:
    """Run the model's warm-up requests; where it has none, each signature on one row of nothing.

    Raises
    ------
    ServingError
        If a warm-up request fails, or a signature lacks what every request needs.
    """
    begun = time.perf_counter()
    path = model.version.path
    asked = set()
    for number, request in enumerate(_requests(path)):
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        asked.add(name)
        try:
            arrays = {n: tf.make_ndarray(proto) for n, proto in request.inputs.items()}
            model.signatures[name].run(arrays)
        except tf.errors.DeadlineExceededError:
            continue  # the first run of a graph is a slow one, and that is what this is for
        except Exception as error:  # a broken file, or the model's own; either way it is not fit to serve
            why = f"no signature {name!r}" if name not in model.signatures else reason(error)
            raise ServingError(
                f"Warm-up request {number} fails: {why}", where=str(model.version.path / FILE)
            ) from error
    for name, signature in model.signatures.items():
        if name not in asked:
            _try_on_nothing(signature, path)
    model.load_seconds += time.perf_counter() - begun


def example(model: LoadedModel, signature: str) -> Arrays | None:
    """One row, of the first warm-up request for ``signature``; None without one."""
    for request in _requests(model.version.path):
        if (request.model_spec.signature_name or DEFAULT_SIGNATURE) == signature:
            return {n: tf.make_ndarray(proto)[:1] for n, proto in request.inputs.items()}
    return None


def _requests(path: Path) -> Iterator[predict_pb2.PredictRequest]:
    file = path / FILE
    if not file.is_file():
        return
    try:
        for record in islice(tf.data.TFRecordDataset(str(file)).as_numpy_iterator(), MOST_RECORDS):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.HasField("predict_log"):  # the other kinds belong to calls that are not served here
                yield log.predict_log.request
    except Exception as error:
        raise ServingError(f"The warm-up requests cannot be read: {reason(error)}", where=str(file)) from error


def _try_on_nothing(signature: Signature, path: Path) -> None:
    if any(each.shape is None for each in signature.inputs.values()):
        return
    try:
        signature.run({name: _nothing(each) for name, each in signature.inputs.items()})
    except _NOT_SET_UP as error:
        raise ServingError(
            f"Signature {signature.name!r} cannot run in a session, as every server runs it: {reason(error)}",
            where=str(path),
            fix="Export it with keras.export.ExportArchive, which brings variables and tables along.",
        ) from error
    except Exception:
        return  # a row of nothing may be one that the model refuses, and rightly


def _nothing(each: Input) -> np.ndarray[Any, Any]:
    shape = tuple(1 if size is None else size for size in each.shape or ())
    if each.dtype == tf.string:
        return np.full(shape, b"", object)
    return np.full(shape, each.missing if each.missing is not None else 0, each.dtype.as_numpy_dtype)
