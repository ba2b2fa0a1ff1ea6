"""Which raw columns each transformed feature is made of, read off the stored transform graph without TensorFlow.

The graph is a SavedModel. Of its messages only a few fields are needed, so that a handful of them is described here and
the rest is passed over while it is parsed; numbers and names are those of TensorFlow's ``saved_model.proto``,
``meta_graph.proto``, ``graph.proto`` and ``function.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "SavedModel": {"meta_graphs": (2, "[MetaGraph]")},
    "MetaGraph": {"graph": (2, "Graph"), "signatures": (5, "[NamedSignature]")},
    "Graph": {"nodes": (1, "[Node]"), "library": (2, "Library")},
    "Library": {"functions": (1, "[Function]")},
    "Function": {"signature": (1, "Operation"), "nodes": (3, "[Node]"), "returns": (4, "[NamedText]")},
    "Operation": {"name": (1, ""), "inputs": (2, "[Argument]"), "outputs": (3, "[Argument]")},
    "Argument": {"name": (1, "")},
    "Node": {"name": (1, ""), "inputs": (3, "[]"), "attributes": (5, "[NamedAttribute]")},
    "NamedAttribute": {"key": (1, ""), "value": (2, "Attribute")},
    "Attribute": {"function": (10, "Argument")},
    "NamedText": {"key": (1, ""), "value": (2, "")},
    "NamedSignature": {"key": (1, ""), "value": (2, "Signature")},
    "Signature": {"inputs": (1, "[NamedTensor]"), "outputs": (2, "[NamedTensor]")},
    "NamedTensor": {"key": (1, ""), "value": (2, "Tensor")},
    "Tensor": {"name": (1, ""), "sparse": (4, "Sparse"), "composite": (5, "Composite")},
    "Sparse": {"values": (1, ""), "indices": (2, ""), "shape": (3, "")},
    "Composite": {"parts": (2, "[Tensor]")},
}
"""Fields by message: number and type. ``""`` is text, brackets are a list of it."""

_SPARSE = 3
"""Tensors that a sparse column goes in as: indices, values and shape."""


def read_sources(saved_model: Path, columns: Mapping[str, bool]) -> dict[str, tuple[str, ...]]:
    """Columns by feature; empty where the graph does not tell.

    Parameters
    ----------
    saved_model
        ``saved_model.pb`` of a transform graph.
    columns
        The raw columns, and whether each goes in as a dense tensor, else as a sparse one.
    """
    from google.protobuf.message import DecodeError

    if not saved_model.is_file():
        return {}
    try:
        model = _message("SavedModel").FromString(saved_model.read_bytes())
    except DecodeError:
        return {}
    for graph in model.meta_graphs:
        for signature in graph.signatures:
            if signature.key == "serving_default":
                return _read(graph.graph, signature.value, columns)
    return {}


def _read(graph: Any, signature: Any, columns: Mapping[str, bool]) -> dict[str, tuple[str, ...]]:
    functions = {f.signature.name: f for f in graph.library.functions}
    named = _column_of_input([each.key for each in signature.inputs], columns, functions.values())
    if not named:
        return {}
    tensors = {_node(each.value.name): named[each.key] for each in signature.inputs}
    reached = _Flow(functions).through(graph.nodes, tensors)
    found = {
        each.key: {column for part in _parts(each.value) for column in reached(part)} for each in signature.outputs
    }
    return {feature: tuple(c for c in columns if c in sources) for feature, sources in found.items()}


def _parts(tensor: Any) -> list[str]:
    """Names of what a tensor of the signature is: one, or the parts of a sparse or ragged one."""
    sparse = tensor.sparse
    own = [name for name in (tensor.name, sparse.values, sparse.indices, sparse.shape) if name]
    return own + [name for part in tensor.composite.parts for name in _parts(part)]


def _column_of_input(inputs: Sequence[str], columns: Mapping[str, bool], functions: Iterable[Any]) -> dict[str, str]:
    """The column that each input of the signature belongs to; empty where that is not sure.

    A graph of TensorFlow 2 numbers its inputs in the order of the columns, ``inputs``, ``inputs_1`` and so on, and has
    a function that takes them by the columns' names in alphabetical order. Both must agree.
    """
    if set(inputs) <= set(columns):
        return {key: key for key in inputs}
    order = [name for name, dense in columns.items() for _ in range(1 if dense else _SPARSE)]
    numbered = ["inputs" if number == 0 else f"inputs_{number}" for number in range(len(order))]
    named = dict(zip(numbered, order, strict=True))
    if set(inputs) != set(named):
        return {}
    taken = ([named[a.name] for a in f.signature.inputs if a.name in named] for f in functions)
    return named if any(names == sorted(order) for names in taken) else {}


class _Flow:
    """What flows into what, through functions that call each other."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._functions = functions
        self._known: dict[str, list[frozenset[int]]] = {}

    def through(self, nodes: Sequence[Any], begin: Mapping[str, Any]) -> Any:
        """A function from a tensor to what it is made of, where some nodes or arguments are known to be themselves."""
        by_name = {node.name: node for node in nodes}
        known: dict[tuple[str, int], frozenset[Any]] = {}

        def of(tensor: str) -> frozenset[Any]:
            pending = [tensor]
            while pending:  # not by recursion: a graph may be thousands of nodes deep
                place = _place(pending[-1])
                needed = [] if place in known else self._needed(by_name.get(place[0]), place[1], begin)
                open_ = [each for each in needed if _place(each) not in known and each not in pending]
                if open_:
                    pending += open_
                    continue
                if place not in known:
                    own = frozenset({begin[place[0]]}) if place[0] in begin else frozenset()
                    known[place] = own.union(*(known.get(_place(each), frozenset()) for each in needed))
                pending.pop()
            return known[_place(tensor)]

        return of

    def _needed(self, node: Any, output: int, begin: Mapping[str, Any]) -> list[str]:
        """Tensors that one output of a node is made of; of a function that is called, only those that reach it."""
        if node is None or node.name in begin:
            return []
        inputs = [each for each in node.inputs if not each.startswith("^")]
        called = [a.value.function.name for a in node.attributes if a.key == "f" and a.value.function.name]
        if not called or called[0] not in self._functions:
            return inputs
        reaching = self._arguments(called[0])
        return [inputs[i] for i in sorted(reaching[output]) if i < len(inputs)] if output < len(reaching) else inputs

    def _arguments(self, name: str) -> list[frozenset[int]]:
        """For each output of a function, the places of the arguments that it is made of."""
        if name not in self._known:
            function = self._functions[name]
            arguments = {each.name: place for place, each in enumerate(function.signature.inputs)}
            returned = {each.key: each.value for each in function.returns}
            of = self.through(function.nodes, arguments)
            self._known[name] = [of(returned.get(each.name, "")) for each in function.signature.outputs]
        return self._known[name]


def _node(tensor: str) -> str:
    return tensor.split(":")[0]


def _place(tensor: str) -> tuple[str, int]:
    """Node and number of an output: ``node``, ``node:1``, or in a function ``node:output:1``."""
    name, _, rest = tensor.partition(":")
    number = rest.rpartition(":")[2]
    return name, int(number) if number.isdigit() else 0


@cache
def _message(name: str) -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    package = "fluent_pipe_graph"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for key, (number, kind) in fields.items():
            inner = kind.strip("[]")
            described.field.add(
                name=key,
                number=number,
                label=field.LABEL_REPEATED if kind.startswith("[") else field.LABEL_OPTIONAL,
                type=field.TYPE_MESSAGE if inner else field.TYPE_STRING,
                type_name=f".{package}.{inner}" if inner else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"{package}.{name}")
    return message_factory.GetMessageClass(descriptor)
