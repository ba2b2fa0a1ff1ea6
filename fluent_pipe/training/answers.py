"""What the trained model itself answers, for a served one to be compared with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fluent_pipe.artifacts import Model
from fluent_pipe.training.raw_inputs import OUTPUT

log = logging.getLogger(__name__)

KERAS = "model.keras"
EAGER = "the SavedModel in eager mode"
DEVICE = "/CPU:0"
"""As the server that is started for the check; a GPU rounds otherwise."""

Tensors = Mapping[str, np.ndarray[Any, Any]]


class TrainedAnswers:
    """Answers of the model as training left it, computed in this process.

    They come from ``model.keras`` on the features that the SavedModel's ``transform_features`` makes: weights and
    layers as training kept them, beside those that the export wrote. Where that cannot be (a ``run_fn`` leaves no
    ``model.keras``, an output has another name, a custom layer is not registered here), from the SavedModel in eager
    mode, which shares the exported weights but not the session.

    Parameters
    ----------
    model
        Of a training.

    Attributes
    ----------
    source
        Which of the two the last answer came from.
    """

    def __init__(self, model: Model) -> None:
        self._features = model.facts().get("features")
        with tf.device(DEVICE):
            self._served = tf.saved_model.load(str(model.serving))
            self._keras = self._load_keras(model)
        self.source = EAGER

    def _load_keras(self, model: Model) -> Any:
        path = model.path / "model.keras"
        if not path.is_file() or self._features is None or "transform_features" not in self._served.signatures:
            return None
        try:
            return keras.models.load_model(path, compile=False)
        except Exception as error:  # a layer of the user's own raises anything
            log.warning("model.keras cannot be loaded here (%s); %s is compared with", error, EAGER)
            return None

    def of(self, signature: str, tensors: Tensors, examples: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Answers by output.

        Parameters
        ----------
        signature, tensors
            What was asked of the server.
        examples
            The same rows as serialized ``tf.Example``.
        """
        with tf.device(DEVICE):
            function = self._served.signatures[signature]
            if self._keras is not None and list(function.structured_outputs) == [OUTPUT]:
                self.source = KERAS
                made = self._served.signatures["transform_features"](examples=tf.constant(examples, tf.string))
                return {OUTPUT: np.asarray(self._keras({n: made[n] for n in self._features or ()}, training=False))}
            self.source = EAGER
            specs = function.structured_input_signature[1]
            asked = {name: tf.constant(values, specs[name].dtype) for name, values in tensors.items()}
            return {name: np.asarray(values) for name, values in function(**asked).items()}
