"""The model of ``with_base_model`` as Keras takes it."""

from __future__ import annotations

import keras
import tensorflow as tf

from fluent_pipe.artifacts import BaseModel
from fluent_pipe.errors import TrainingError

ENDPOINTS = ("serve", "serving_default")
"""Signatures that are called by default: that of ``model.export()``, and what TensorFlow Serving calls."""


def load_base_model(given: BaseModel | None, *, endpoint: str | None) -> keras.Model | keras.layers.Layer:
    """Load it; see :meth:`fluent_pipe.training.data.TrainingData.base_model`."""
    if given is None:
        raise TrainingError("This pipeline has no base model.", fix="Call with_base_model(path) before this step.")
    source, path = given.facts()["source"], str(given.model)
    try:
        if given.facts()["format"] == "keras":
            return keras.models.load_model(path, compile=False)
        there = list(tf.saved_model.load(path).signatures)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise TrainingError(
            f"The base model cannot be loaded: {type(error).__name__}: {said}",
            where=source,
            fix="Save it with this version of Keras; register its own layers with register_keras_serializable.",
        ) from error
    chosen = endpoint or next((name for name in ENDPOINTS if name in there), ENDPOINTS[-1])
    if chosen not in there:
        raise TrainingError(f"The base model has no signature {chosen!r}.", where=source, got=chosen, valid=there)
    return keras.layers.TFSMLayer(path, call_endpoint=chosen)
