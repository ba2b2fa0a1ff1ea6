"""What the ids of the transformed features stand for, so that a later model can take a table of them over row by row.

A feature's words are those of the lookup table that it comes from in the transform graph. A word's id is what the graph
itself makes of it, from the table on: shifted ids and buckets for unknown words need no rule of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
    sizes = {name: data.cardinality(name) for name in data.categorical_features}
    asked = sizes if data.class_count is None else {**sizes, data.label: data.class_count}
    found = _Graph(data.transform_graph).vocabularies(asked)
    found = {name: found.get(name) or _counted(data, name, size) for name, size in sizes.items()} | found
    for name, values in {**data.categories, **({data.label: data.classes} if data.classes else {})}.items():
        words = {str(value).encode(): place for place, value in enumerate(values)}
        found[name] = Vocabulary(sizes.get(name, len(words)), words)
    return found


def _counted(data: TrainingData, name: str, size: int) -> Vocabulary:
    """Integers stand for themselves; but those of a domain of the transform graph, such as buckets, for parts of it."""
    if name in data.fixed_domains:
        return Vocabulary(size, None, f"{size} ids of a domain")
    return Vocabulary(size, {str(i).encode(): i for i in range(size)})


@dataclass(frozen=True)
class _Lookup:
    """The one look-up that a feature comes from, and what its table holds."""

    find: tf.Operation
    output: tf.Tensor
    words: np.ndarray[Any, Any]
    places: np.ndarray[Any, Any]

    @property
    def table(self) -> str:
        return str(self.find.inputs[0].name)

    @property
    def keys(self) -> tf.Tensor:
        return self.find.inputs[1]


class _Graph:
    """A transform graph, from its lookup tables to its features."""

    def __init__(self, loader: SavedModelLoader) -> None:
        self._loader = loader
        self._captures = loader._func_graph.captures  # noqa: SLF001 - TFT keeps what leads from a table to a feature nowhere else

    def vocabularies(self, sizes: Mapping[str, int]) -> dict[str, Vocabulary]:
        """The vocabularies of those features that come from lookup tables.

        Parameters
        ----------
        sizes
            Number of ids by feature.
        """
        found: dict[str, Vocabulary] = {}
        alone: dict[str, _Lookup] = {}
        for name, size in sizes.items():
            values = _values(self._loader.structured_outputs[name])
            finds = list(_finds(values.op))
            tables = [self._outside.get(find.inputs[0].name) for find in finds]
            if any(table is None for table in tables):  # a table inside a branch or a loop
                found[name] = Vocabulary(size, None, "tables out of reach")
            elif finds:
                contents = [_content(find, table) for find, table in zip(finds, tables, strict=True)]
                found[name] = Vocabulary(size, None, _digest(contents))
                if len(finds) == 1:
                    alone[name] = _Lookup(finds[0], values, *contents[0])
        for name, ids in self._ids(alone).items():
            found[name] = Vocabulary(sizes[name], dict(zip(_bytes(alone[name].words), ids, strict=True)))
        return found

    @cached_property
    def _outside(self) -> dict[str, tf.Tensor]:
        """What the graph captures, tables among it, by the name that it has inside."""
        return {inside.name: tensor for tensor, inside in self._captures}

    def _ids(self, lookups: Mapping[str, _Lookup]) -> dict[str, list[int]]:
        """What the graph makes of each word; features whose ids hang on more than the word are left out."""
        found: dict[str, list[int]] = {}
        # In a graph of its own: functions cut from a loaded one are torn down loudly when Python ends.
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            captured = ((n, t) for n, t in self._outside.items() if t.dtype not in (tf.resource, tf.variant))
            feeds = {n: tf.constant(t.numpy()) for n, t in captured}
            for one in lookups.values():
                initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(one.words), tf.constant(one.places))
                feeds[one.table] = tf.lookup.StaticHashTable(initializer, -1).resource_handle
                feeds[one.keys.name] = tf.compat.v1.placeholder(one.keys.dtype)
            names = [one.output.name for one in lookups.values()]
            used = {n if ":" in n else f"{n}:0" for node in self._definition.node for n in node.input}
            outputs = tf.graph_util.import_graph_def(
                self._definition, {n: t for n, t in feeds.items() if n in used}, return_elements=names, name="graph"
            )
            session.run(tf.compat.v1.tables_initializer())
            for (name, one), output in zip(lookups.items(), outputs, strict=True):
                asked = one.words.reshape([-1, *[1] * ((one.keys.shape.rank or 1) - 1)])
                with suppress(tf.errors.OpError):  # it reads more of the row than this word
                    ids = np.reshape(session.run(output, {feeds[one.keys.name]: asked}), -1).tolist()
                    if len(ids) == len(one.words) == len(set(ids)):
                        found[name] = ids
        return found

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


def _content(find: tf.Operation, table: tf.Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Words of a table and their places, in the order of the places."""
    keys, values = tf.raw_ops.LookupTableExportV2(
        table_handle=table, Tkeys=find.inputs[1].dtype, Tvalues=find.outputs[0].dtype
    )
    words, places = keys.numpy(), values.numpy()
    order = np.argsort(places, kind="stable")
    return words[order], places[order]


def _bytes(words: np.ndarray[Any, Any]) -> list[bytes]:
    return [w if isinstance(w, bytes) else str(w).encode() for w in words.tolist()]


def _digest(contents: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for words, places in contents:
        digest.update(places.tobytes())
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
