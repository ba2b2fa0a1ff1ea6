"""Fingerprints of values and of code: equal content gives an equal key in every process, or there is an error.

An object graph is walked once and fed to a hash, every value with a tag of its kind. Functions, classes and instances
of the user's classes are numbered when they are first met, so cycles end; plain values and containers, dataclasses and
objects of libraries count by content wherever they are met.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import re
import struct
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from fluent_pipe.errors import ArgumentError, FluentPipeError
from fluent_pipe.store import bytecode, libraries, sources
from fluent_pipe.store.content import DIGEST_BYTES

_LOCKS = frozenset({"_thread.lock", "_thread.RLock"})
_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_BUILTINS = (types.BuiltinFunctionType, types.MethodWrapperType)
_HEAP_TYPE = 1 << 9
# What Beam notes on a transform or a DoFn, and on its class, when it is applied: where it runs, not what it does.
_TYPE_HINTS = "_type_hints"
_APPLIED = frozenset(
    {"pipeline", "_user_label", "_resource_hints", "input_batch_converter", "output_batch_converter", _TYPE_HINTS}
)
# The interpreter's own names in a module; what they hold is not the user's.
_MODULE_NAMES = frozenset({"__builtins__", "__loader__", "__spec__", "__doc__"})


class Walk:
    """One walk over an object graph.

    Parameters
    ----------
    seen
        Number of each object that was met, by its id, and the object itself, so that no id is used twice.
    trail
        Ids of the containers around the present value.
    """

    def __init__(
        self,
        *,
        seen: dict[int, tuple[int, object]] | None = None,
        trail: tuple[int, ...] = (),
    ) -> None:
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self._seen = dict(seen or {})
        self._trail = list(trail)
        self._path: list[str] = []

    def hexdigest(self) -> str:
        """The hash of all that was fed."""
        return self._hash.hexdigest()

    def feed(self, value: object, name: str = "") -> None:
        """Feed any value. ``name`` is what an error calls it."""
        self._path.append(name)
        try:
            if not (self._plain(value) or self._container(value) or self._code(value) or self._described(value)):
                self._instance(value)
        finally:
            self._path.pop()

    def _tag(self, kind: str, content: bytes | str = b"") -> None:
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self._hash.update(f"{kind}:{len(data)}:".encode())
        self._hash.update(data)

    def _plain(self, value: object) -> bool:
        kind = type(value)
        if value is None or value is Ellipsis or value is NotImplemented:
            self._tag(repr(value))
        elif kind is bool or kind is int or kind is complex:
            self._tag(kind.__name__, repr(value))
        elif kind is float:
            self._tag("float", struct.pack(">d", value))
        elif kind is str:
            self._tag("str", typing.cast(str, value))
        elif kind is bytes or kind is bytearray:
            self._tag(kind.__name__, bytes(typing.cast(bytes, value)))
        elif isinstance(value, PurePath):
            self._tag("path", value.as_posix())
        elif isinstance(value, re.Pattern):
            self._tag("pattern", f"{value.flags} {value.pattern!r}")
        elif f"{kind.__module__}.{kind.__qualname__}" in _LOCKS:
            self._tag("lock")  # its state is not content
        else:
            return False
        return True

    def _container(self, value: object) -> bool:
        kind = type(value)
        if kind not in (tuple, list, dict, set, frozenset, types.MappingProxyType):
            return False
        if self._around(value):
            return True
        if isinstance(value, (tuple, list)):
            self._tag(kind.__name__, str(len(value)))
            for index, item in enumerate(value):
                self.feed(item, f"[{index}]")
        elif isinstance(value, (set, frozenset)):
            self._tag(kind.__name__, "".join(sorted(self._apart(item) for item in value)))
        else:
            items = typing.cast(Mapping[Any, Any], value)
            self._tag("dict", str(len(items)))
            for key_hash, key in sorted(((self._apart(key), key) for key in items), key=lambda pair: pair[0]):
                self._tag("key", key_hash)
                self.feed(items[key], f"[{key!r}]" if isinstance(key, (str, int)) else "[...]")
        self._trail.pop()
        return True

    def _apart(self, value: object) -> str:
        """Hash of a value on its own, by which elements without an order are sorted."""
        walk = Walk(seen=self._seen, trail=tuple(self._trail))
        walk._path = list(self._path)
        walk.feed(value)
        return walk.hexdigest()

    def _around(self, value: object) -> bool:
        """Whether a value lies in itself; it is then fed by its distance. If not, the caller takes it off the trail."""
        if id(value) in self._trail:
            self._tag("around", str(len(self._trail) - self._trail.index(id(value))))
            return True
        self._trail.append(id(value))
        return False

    def _met(self, value: object) -> bool:
        """Whether a function, class or instance of the user was fed before; it is then fed by its number."""
        if id(value) in self._seen:
            self._tag("seen", str(self._seen[id(value)][0]))
            return True
        self._seen[id(value)] = (len(self._seen), value)
        return False

    # Code

    def _code(self, value: object) -> bool:
        if isinstance(value, types.CodeType):
            self._tag("code")
            for said in bytecode.statements(value):
                self.feed(said)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self._tag("method")
            self.feed(value.__func__, value.__name__)
            self.feed(value.__self__, "self")
        elif isinstance(value, functools.partial):
            self._tag("partial")
            for part, name in ((value.func, "func"), (value.args, "args"), (value.keywords, "keywords")):
                self.feed(part, name)
        elif isinstance(value, _BUILTINS):
            self._builtin(value)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        elif isinstance(value, type):
            self._class(value)
        else:
            return self._in_class(value)
        return True

    def _in_class(self, value: object) -> bool:
        """Descriptors, which stand for functions in classes."""
        if isinstance(value, (staticmethod, classmethod)):
            self._tag(type(value).__name__)
            self.feed(value.__func__, "function")
        elif isinstance(value, property):
            self._tag("property")
            self.feed((value.fget, value.fset, value.fdel), "property")
        elif isinstance(value, _DESCRIPTORS):
            self._tag("descriptor", f"{value.__objclass__.__qualname__}.{value.__name__}")
        else:
            return False
        return True

    def _is_library(self, name: str, file: str | None = None) -> bool:
        module = sys.modules.get(name)
        return libraries.is_library(name, file or getattr(module, "__file__", None))

    def _function(self, function: types.FunctionType) -> None:
        if self._met(function):
            return
        # __module__ would name the user's module for a wrapper that a library made with functools.wraps.
        module = str(function.__globals__.get("__name__", ""))
        library = self._is_library(module, function.__globals__.get("__file__"))
        if library:
            self._tag("library function", f"{libraries.label(module)} {module}.{function.__code__.co_name}")
            if "<" not in function.__qualname__ and function.__closure__ is None:
                self._tag("named", function.__qualname__)
                self.feed(function.__code__)  # a package of the user's may be installed again under one version
                return
        self._tag("function")
        self.feed(function.__code__, "code")
        self.feed(function.__defaults__, "default")
        self.feed(function.__kwdefaults__, "default")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            try:
                content = cell.cell_contents
            except ValueError:
                self._tag("empty cell", name)
                continue
            self._tag("cell", name)
            self.feed(content, name)
        if not library:
            self.feed(function.__dict__, "attributes")
            self._globals(function)

    def _globals(self, function: types.FunctionType) -> None:
        read, imports = bytecode.reads(function.__code__)
        for wanted in sorted(read, key=lambda r: (r.name, r.attributes)):
            self._tag("global", wanted.name)
            if wanted.name in _MODULE_NAMES:
                continue
            if wanted.name in function.__globals__:
                self._attribute(function.__globals__[wanted.name], wanted)
        package = str(function.__globals__.get("__package__") or "")
        for wanted_import in sorted(imports, key=lambda i: (i.name, i.level)):
            self._import(wanted_import, package)

    def _attribute(self, value: object, wanted: bytecode.Read) -> None:
        """Follow ``helpers.scale`` to what it names as long as it leads through user modules."""
        name = wanted.name
        for attribute in wanted.attributes:
            if not isinstance(value, types.ModuleType) or self._is_library(value.__name__, _file(value)):
                break
            if attribute not in vars(value):
                self._tag("undefined", attribute)
                return
            value, name = vars(value)[attribute], f"{name}.{attribute}"
        self.feed(value, name)

    def _import(self, wanted: bytecode.Import, package: str) -> None:
        name = wanted.name
        if wanted.level:
            base = package.rsplit(".", wanted.level - 1)[0] if wanted.level > 1 else package
            name = f"{base}.{name}".strip(".")
        self._tag("import", name)
        loaded = sys.modules.get(name)
        file = _file(loaded)
        path = Path(file) if file else libraries.find_file(name)[0]
        if self._is_library(name, None if path is None else str(path)):
            self._tag("library", libraries.label(name))
        elif path is not None and path.suffix == ".py":
            self._tag("source", sources.of_module_file(path))

    def _module(self, module: types.ModuleType) -> None:
        file = _file(module)
        if self._is_library(module.__name__, file):
            self._tag("library", f"{libraries.label(module.__name__)} {module.__name__}")
        elif file and file.endswith(".py"):
            self._tag("source", sources.of_module_file(Path(file)))
        else:
            self._tag("module", module.__name__)

    def _builtin(self, value: types.BuiltinFunctionType | types.MethodWrapperType) -> None:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            module = getattr(value, "__module__", None) or "builtins"
            self._tag("builtin", f"{libraries.label(module)} {module}.{value.__qualname__}")
        else:
            self._tag("builtin method", value.__name__)
            self.feed(owner, value.__name__)

    def _class(self, kind: type) -> None:
        if self._met(kind):
            return
        if self._is_library(kind.__module__):
            version = libraries.label(kind.__module__)
            self._tag("library class", f"{version} {kind.__module__}.{kind.__qualname__}")
            return
        self._tag("class", kind.__name__)
        self.feed(tuple(base for base in kind.__bases__ if base is not object), f"bases of {kind.__name__}")
        if type(kind) is not type:
            self.feed(type(kind), f"metaclass of {kind.__name__}")
        for name, value in sorted(vars(kind).items()):
            if _counts_in_class(name, value):
                self._tag("attribute", name)
                self.feed(value, f"{kind.__name__}.{name}")

    # Everything else

    def _described(self, value: object) -> bool:
        """Values whose own type says what their content is."""
        kind = type(value)
        own = getattr(kind, "__fingerprint__", None)
        if callable(own):
            self._tag("own", f"{_name(kind)} {own(value)}")
        elif isinstance(value, enum.Enum):
            self._tag("enum", f"{_name(kind)}.{value.name}")
            self.feed(value.value, value.name)
        elif dataclasses.is_dataclass(value):
            if self._around(value):
                return True
            self._type_of(value)
            for field in dataclasses.fields(value):
                self._tag("field", field.name)
                self.feed(getattr(value, field.name, None), f".{field.name}")
            self._trail.pop()
        elif typing.get_origin(value) is not None or isinstance(value, (typing.TypeVar, typing.ForwardRef)):
            self._tag("annotation", str(typing.get_origin(value)) if typing.get_args(value) else repr(value))
            self.feed(typing.get_args(value), "annotation")
        elif callable(getattr(kind, "get_config", None)) and self._is_library(kind.__module__):
            # Keras objects. They pickle as a zip archive that holds the time.
            self._tag("configured", _name(kind))
            self.feed(typing.cast(Any, value).get_config(), "get_config()")
            if callable(weights := getattr(value, "get_weights", None)):
                self.feed(weights(), "get_weights()")
        elif _is_of_beam(value):
            self._type_of(value)
            # What they leave out when they travel, such as a connection, is no content.
            state = getattr(value, "__getstate__", lambda: vars(value))()
            kept = {k: v for k, v in state.items() if k not in _APPLIED} if isinstance(state, dict) else state
            self.feed(kept, "attributes")
        else:
            return self._array(value)
        return True

    def _array(self, value: object) -> bool:
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
            return False
        self._tag("array", f"{_name(type(value))} {value.dtype.str} {value.dtype.descr} {value.shape}")
        if value.dtype.hasobject:
            self.feed(value.tolist(), "array")
        else:
            self._tag("content", numpy.ascontiguousarray(value).tobytes())
        return True

    def _instance(self, value: object) -> None:
        library = self._is_library(type(value).__module__)
        # A date or a dtype counts by content wherever it is met; the user's own objects may form any graph.
        if self._around(value) if library else self._met(value):
            return
        self._instance_content(value)
        if library:
            self._trail.pop()

    def _instance_content(self, value: object) -> None:
        wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
        if callable(wrapped):  # functools.lru_cache and others: what they hold beside the function is a cache
            self._tag("wrapper", _name(type(value)))
            self.feed(wrapped, "__wrapped__")
            return
        self._type_of(value)
        try:
            reduced = value.__reduce_ex__(2)
        except FluentPipeError:
            raise
        except Exception as error:
            self._state(value, error)
            return
        if isinstance(reduced, str):
            self._tag("named", reduced)
            return
        for part, items in zip(("rebuild", "arguments", "state", "items", "entries"), reduced, strict=False):
            made = _listed(part, items)
            self._tag(part)
            if part != "rebuild" or not _is_rebuilder(made):
                self.feed(made, "")

    def _state(self, value: object, error: Exception) -> None:
        """Attributes of an object that cannot be reduced; a type written in C hides its state."""
        state = getattr(value, "__dict__", None)
        if not type(value).__flags__ & _HEAP_TYPE or not isinstance(state, dict):
            raise ArgumentError(
                f"{self._where()} is a {_name(type(value))}, whose content cannot be told from run to run.",
                got=type(value).__qualname__,
                fix="Make it inside the function, or give its type a __fingerprint__() method that returns a string.",
            ) from error
        self._tag("attributes")
        for name in sorted(state):
            self._tag("attribute", name)
            self.feed(state[name], f".{name}")

    def _type_of(self, value: object) -> None:
        """The type by name, and by its code as well when it is the user's."""
        kind = type(value)
        self._tag("instance", _name(kind))
        if not self._is_library(kind.__module__):
            self.feed(kind, kind.__name__)

    def _where(self) -> str:
        text = ""
        for name in filter(None, self._path):
            if name.startswith(("[", ".")):
                text += name
            elif name not in ("code", "attributes"):
                text = f"{text} -> {name}" if text else name
        return f"'{text}'" if text else "The value"


def _is_of_beam(value: object) -> bool:
    beam = sys.modules.get("apache_beam")
    return beam is not None and isinstance(value, (getattr(beam, "PTransform", ()), getattr(beam, "DoFn", ())))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _file(module: types.ModuleType | None) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def _listed(part: str, value: Any) -> Any:
    if value is None or part not in ("items", "entries"):
        return value
    return list(value) if part == "items" else dict(value)


def _is_rebuilder(value: object) -> bool:
    """The functions by which pickle makes any plain object; they say nothing about it."""
    return getattr(value, "__module__", None) in ("copyreg", "copy_reg")


def _counts_in_class(name: str, value: object) -> bool:
    if name.startswith("__") and name.endswith("__"):
        code = (types.FunctionType, staticmethod, classmethod, property)
        return name in ("__annotations__", "__slots__") or (isinstance(value, code) and name != "__class_getitem__")
    return not (
        name.startswith("_abc_")
        or name == _TYPE_HINTS
        or isinstance(value, (types.GetSetDescriptorType, types.MemberDescriptorType))
    )
