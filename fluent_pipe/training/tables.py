"""Which rows of a model's embedding tables belong to which words: found by asking the model.

The part of the model before a table is run on every id of a feature, all else held still. So it does not matter how an
id becomes a row: as it is, behind an offset into one table of many features, or through a lookup layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fluent_pipe.errors import TrainingError
from fluent_pipe.training.data import TrainingData
from fluent_pipe.training.vocabularies import Vocabulary

Rows = Mapping[tuple[str, int], tuple[Sequence[Any], np.ndarray[Any, Any]]]
"""Words and their rows, by feature and place among the ids that the table is given."""

AT_ONCE = 65_536
LOOKUPS = (keras.layers.StringLookup, keras.layers.IntegerLookup)


class Tables:
    """The embedding tables of a functional model.

    Parameters
    ----------
    model
        Its inputs are named as the features.
    data
        The transformed features.
    meanings
        What the ids of its features stand for.
    texts
        Words to ask for, where a feature is text and the model itself looks it up.
    """

    def __init__(
        self, model: keras.Model, data: TrainingData, meanings: Mapping[str, Vocabulary], texts: Sequence[str] = ()
    ) -> None:
        self._model = model
        self._data = data
        self._meanings = meanings
        self._texts = list(texts)
        # Keras has no public view of a model's graph.
        self._graph = [node for depth in sorted(model._nodes_by_depth) for node in model._nodes_by_depth[depth]]  # noqa: SLF001
        self._makers = {id(tensor): [node] for node in self._graph for tensor in node.output_tensors}
        self._inputs = {tensor.name: tensor for tensor in model.inputs}

    def features(self, table: keras.layers.Layer) -> list[str]:
        """Names of the features that a table depends on."""
        met = set()
        waiting = [tensor for node in self._nodes(table) for tensor in node.input_tensors]
        while waiting:
            tensor = waiting.pop()
            if id(tensor) not in met:
                met.add(id(tensor))
                waiting.extend(t for node in self._makers.get(id(tensor), ()) for t in node.input_tensors)
        return [name for name, tensor in self._inputs.items() if id(tensor) in met]

    def rows(self, table: keras.layers.Layer) -> Rows:
        """The row of every word of the features that a table depends on.

        Raises
        ------
        TrainingError
            If a row depends on two features, or the values of a feature cannot be listed.
        """
        before = keras.Model(self._model.inputs, [node.input_tensors[0] for node in self._nodes(table)])
        found: dict[tuple[str, int], tuple[Sequence[Any], np.ndarray[Any, Any]]] = {}
        owners: dict[int, str] = {}
        for feature in self.features(table):
            words, values = self._values(feature, table)
            asked = np.concatenate([self._asked(before, feature, part) for part in _parts(values)])
            for place in np.flatnonzero((asked != asked[:1]).any(axis=0)).tolist():
                other = owners.setdefault(place, feature)
                if other != feature:
                    raise TrainingError(
                        f"Embedding {table.name!r} looks up {other!r} and {feature!r} together, so that its rows "
                        "cannot be told apart by word.",
                        fix="Give each feature a table of its own, or leave warm_start out.",
                    )
                found[feature, place] = (words, asked[:, place].astype(np.int64))
        return found

    def _asked(self, before: keras.Model, feature: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What the layers before a table make of values of a feature: ``[values, ids of a row]``."""
        made = before(self._feed(feature, values), training=False)
        return np.concatenate([_as_matrix(part) for part in _listed(made)], axis=1)

    def elsewhere(self, feature: str) -> str | None:
        """Name of a layer with weights that a feature reaches without passing a table; None if there is none."""
        consumers: dict[int, list[Any]] = {}
        for node in self._graph:
            for tensor in node.input_tensors:
                consumers.setdefault(id(tensor), []).append(node)
        outputs = {id(tensor) for tensor in self._model.outputs}
        waiting = [self._inputs[feature]]
        met = set()
        while waiting:
            tensor = waiting.pop()
            if id(tensor) in met or self._is_still(tensor, feature):
                continue
            met.add(id(tensor))
            if id(tensor) in outputs:
                return "the output"
            for node in consumers.get(id(tensor), ()):
                if isinstance(node.operation, keras.layers.Layer) and node.operation.weights:
                    if not isinstance(node.operation, keras.layers.Embedding):
                        return f"layer {node.operation.name!r}"
                else:
                    waiting.extend(node.output_tensors)
        return None

    def _is_still(self, tensor: Any, feature: str) -> bool:
        """Whether a tensor tells only that there is an id, as a mask does, not which."""
        meaning = self._meanings.get(feature)
        if keras.backend.standardize_dtype(tensor.dtype) != "bool" or meaning is None:
            return False
        before = keras.Model(self._model.inputs, tensor)
        ids = np.arange(meaning.size)
        told = np.concatenate([self._asked(before, feature, part) for part in _parts(ids)])
        return bool((told == told[:1]).all())

    def _nodes(self, table: keras.layers.Layer) -> list[Any]:
        return [node for node in self._graph if node.operation is table]

    def _values(self, feature: str, table: keras.layers.Layer) -> tuple[list[Any], np.ndarray[Any, Any]]:
        """Words, and what the model is given for each."""
        meaning = self._meanings.get(feature)
        if meaning is not None:
            return list(meaning.ids), np.asarray(list(meaning.ids.values()), np.int64)
        if self._data.feature(feature).dtype == "string" and self._texts:
            return list(self._texts), np.asarray(self._texts, object)
        raise TrainingError(
            f"Embedding {table.name!r} depends on {feature!r}, whose values cannot be listed.",
            fix="Leave warm_start out, or make the feature a vocabulary in preprocess().",
        )

    def _feed(self, feature: str, values: np.ndarray[Any, Any]) -> list[tf.Tensor]:
        return [tf.constant(self._column(name, feature, values)) for name in self._inputs]

    def _column(self, name: str, feature: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        described = self._data.feature(name)
        shape = (len(values), *(size or 1 for size in described.row_shape))
        if name == feature:
            tall = values.reshape([-1, *[1] * (len(shape) - 1)])
            return np.broadcast_to(tall, shape).astype(object if described.dtype == "string" else described.dtype)
        return np.full(shape, b"", object) if described.dtype == "string" else np.zeros(shape, described.dtype)


def lookups(model: keras.Model) -> dict[str, list[str]]:
    """Words of each lookup layer, by a name that does not depend on how many models were built before."""
    found = [layer for layer in model.layers if isinstance(layer, LOOKUPS)]
    return {f"{type(v).__name__}#{n}": [str(w) for w in v.get_vocabulary()] for n, v in enumerate(found)}


def _listed(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def _as_matrix(tensor: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(tensor)
    return array.reshape(len(array), -1)


def _parts(values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE)]


def row_by_row(old: Rows, new: Rows) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Rows in the old and in the new table that belong to the same words, pair by pair."""
    for key, (words, rows) in new.items():
        known, old_rows = old.get(key, ((), np.empty(0, np.int64)))
        position = {word: place for place, word in enumerate(known)}
        common = [(position[word], place) for place, word in enumerate(words) if word in position]
        pairs = np.asarray(common, np.int64).reshape(-1, 2)
        yield old_rows[pairs[:, 0]], rows[pairs[:, 1]]
