"""What the ids of the transformed features stand for, so that a later model can take a table of them over row by row.

A feature's words are those of the lookup table that it comes from in the transform graph. A word's id is what the graph
itself makes of it, from the table on: shifted ids and buckets for unknown words need no rule of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from fluent_pipe.training.data import TrainingData

FILE = "vocabularies.parquet"
"""Beside ``model.keras``: columns ``feature``, ``word`` (bytes), ``id``, and the other facts in its metadata."""


@dataclass(frozen=True)
class Vocabulary:
    """What the ids of one feature stand for.

    Parameters
    ----------
    size
        Number of ids, from 0 on; those for unknown words are among them.
    words
        Id by word; None where words cannot be told.
    identity
        Where there are no words: equal in two models if their ids mean the same.
    """

    size: int
    words: Mapping[bytes, int] | None = None
    identity: str = ""

    @property
    def ids(self) -> dict[bytes | str, int]:
        """Every id by what it stands for: a word, "none" (-1), or a place among those that no word has.

        The last are padding and buckets for unknown words; another number of them has other names.
        """
        found: dict[bytes | str, int] = dict((self.words or {}).items())
        named = set(found.values())
        others = [i for i in range(self.size) if i not in named]
        return found | {"none": -1} | {f"{n} of {len(others)}": i for n, i in enumerate(others)}


def vocabularies(data: TrainingData) -> dict[str, Vocabulary]:
    """What the ids of every feature stand for, and the classes of the label where they have names."""
    graph = _Graph(data.transform_graph)
    categories = data.categories
    found = {}
    for name in data.categorical_features:
        size = data.cardinality(name)
        if name in categories:
            words = {str(value).encode(): place for place, value in enumerate(categories[name])}
            found[name] = Vocabulary(size, words)
        else:
            found[name] = graph.vocabulary(name, size) or _counted(data, name, size)
    if data.classes is not None:
        words = {str(value).encode(): index for index, value in enumerate(data.classes)}
        found[data.label] = Vocabulary(len(words), words)
    elif data.class_count and (looked := graph.vocabulary(data.label, data.class_count)):
        found[data.label] = looked
    return found


def _counted(data: TrainingData, name: str, size: int) -> Vocabulary:
    """Integers stand for themselves; but those of a domain of the transform graph, such as buckets, for parts of it."""
    if name in data.fixed_domains:
        return Vocabulary(size, None, f"{size} ids of a domain")
    return Vocabulary(size, {str(i).encode(): i for i in range(size)})


class _Graph:
    """A transform graph, from its lookup tables to its features."""

    def __init__(self, loader: SavedModelLoader) -> None:
        self._loader = loader
        self._captures = loader._func_graph.captures  # noqa: SLF001 - TFT keeps what leads from a table to a feature nowhere else

    def vocabulary(self, name: str, size: int) -> Vocabulary | None:
        """The vocabulary of a feature that comes from lookup tables; None for one that does not."""
        values = _values(self._loader.structured_outputs[name])
        finds = list(_finds(values.op))
        if not finds:
            return None
        tables = [self._outside.get(find.inputs[0].name) for find in finds]
        if any(table is None for table in tables):  # a table inside a branch or a loop
            return Vocabulary(size, None, "tables out of reach")
        contents = [_content(find, table) for find, table in zip(finds, tables, strict=True)]
        if len(finds) == 1:
            ids = self._ids(finds[0], values, contents[0])
            if ids is not None:
                return Vocabulary(size, dict(zip(_bytes(contents[0]), ids.tolist(), strict=True)))
        return Vocabulary(size, None, _digest(contents))

    @cached_property
    def _outside(self) -> dict[str, tf.Tensor]:
        """What the graph captures, tables among it, by the name that it has inside."""
        return {inside.name: tensor for tensor, inside in self._captures}

    def _ids(self, find: tf.Operation, output: tf.Tensor, words: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """What the graph makes of each word; None where that hangs on more than the word."""
        table, keys = find.inputs[0], find.inputs[1]
        asked = tf.reshape(tf.constant(words), [-1, *[1] * ((keys.shape.rank or 1) - 1)]).numpy()
        # In a graph of its own: functions cut from a loaded one are torn down loudly when Python ends.
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            places = tf.constant(np.arange(len(words)), find.outputs[0].dtype)
            own = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(words), places), -1)
            given = tf.compat.v1.placeholder(keys.dtype, asked.shape)
            captured = ((n, t) for n, t in self._outside.items() if t.dtype not in (tf.resource, tf.variant))
            feeds = {n: tf.constant(t.numpy()) for n, t in captured}
            feeds |= {table.name: own.resource_handle, keys.name: given}
            (ids,) = tf.graph_util.import_graph_def(
                self._definition, input_map=feeds, return_elements=[output.name], name="graph"
            )
            session.run(tf.compat.v1.tables_initializer())
            try:
                flat: np.ndarray[Any, Any] = np.reshape(session.run(ids, {given: asked}), -1)
            except tf.errors.OpError:  # the feature reads more of the row than this word
                return None
        return flat if len(flat) == len(words) and len(np.unique(flat)) == len(flat) else None

    @cached_property
    def _definition(self) -> Any:
        definition = self._loader._func_graph.as_graph_def()  # noqa: SLF001
        for node in definition.node:  # its order of side effects would tie each part to all columns
            node.input[:] = [name for name in node.input if not name.startswith("^")]
        return definition


def _values(output: Any) -> tf.Tensor:
    if isinstance(output, tf.RaggedTensor):
        return output.flat_values
    return output.values if isinstance(output, tf.SparseTensor) else output


def _finds(op: tf.Operation) -> Iterator[tf.Operation]:
    """The look-ups that an operation depends on, those behind other look-ups left out."""
    met, waiting = {op}, [op]
    while waiting:
        op = waiting.pop()
        if op.type in ("LookupTableFindV2", "LookupTableFind"):
            yield op
            continue
        new = [tensor.op for tensor in op.inputs if tensor.op not in met]
        met.update(new)
        waiting.extend(new)


def _content(find: tf.Operation, table: tf.Tensor) -> np.ndarray[Any, Any]:
    keys, values = tf.raw_ops.LookupTableExportV2(
        table_handle=table, Tkeys=find.inputs[1].dtype, Tvalues=find.outputs[0].dtype
    )
    ordered: np.ndarray[Any, Any] = keys.numpy()[np.argsort(values.numpy(), kind="stable")]
    return ordered


def _bytes(words: np.ndarray[Any, Any]) -> list[bytes]:
    return [w if isinstance(w, bytes) else str(w).encode() for w in words.tolist()]


def _digest(contents: list[np.ndarray[Any, Any]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for words in contents:
        for word in _bytes(words):
            digest.update(len(word).to_bytes(8, "little") + word)
    return digest.hexdigest()


def save(found: Mapping[str, Vocabulary], folder: Path) -> None:
    """Write ``vocabularies.parquet`` into the folder of a model."""
    words = [(name, word, i) for name, v in found.items() for word, i in (v.words or {}).items()]
    feature, word, ids = zip(*words, strict=True) if words else ((), (), ())
    table = pa.table(
        {
            "feature": pa.array(feature, pa.string()).dictionary_encode(),
            "word": pa.array(word, pa.binary()),
            "id": pa.array(ids, pa.int64()),
        }
    )
    facts = {name: f"{v.size} {int(v.words is not None)} {v.identity}" for name, v in found.items()}
    pq.write_table(table.replace_schema_metadata(facts), folder / FILE)


def load(folder: Path) -> dict[str, Vocabulary] | None:
    """Read it; None for a folder that has none."""
    if not (folder / FILE).is_file():
        return None
    table = pq.read_table(folder / FILE)
    words: dict[str, dict[bytes, int]] = {}
    columns = (table[name].to_pylist() for name in ("feature", "word", "id"))
    for feature, word, number in zip(*columns, strict=True):
        words.setdefault(feature, {})[word] = number
    found = {}
    for name, described in (table.schema.metadata or {}).items():
        feature = name.decode()
        size, has_words, identity = described.decode().split(" ", 2)
        found[feature] = Vocabulary(int(size), words.get(feature, {}) if has_words == "1" else None, identity)
    return found
