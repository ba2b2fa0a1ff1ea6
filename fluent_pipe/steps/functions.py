"""A function that the user gave: a callable, ``"path/to/module.py"`` or ``"module:function"``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pickle
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluent_pipe.errors import ArgumentError, FluentPipeError, Interrupted, UserCodeError
from fluent_pipe.steps import carrying


@dataclass(frozen=True)
class Sent:
    """A function on its way, loaded where it is called: a failure to load it is then one of its step.

    As bytes it may be pickled once more by a worker, with Beam's other pickler, and still be whole.

    Parameters
    ----------
    content
        By cloudpickle.
    where
        Function, file and line.
    """

    content: bytes
    where: str

    def loaded(self) -> Callable[..., Any]:
        """The function."""
        return pickle.loads(self.content)  # type: ignore[no-any-return]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Load and call it."""
        return self.loaded()(*arguments, **named)


@dataclass(frozen=True)
class UserFunction:
    """A user's function and where it comes from.

    Parameters
    ----------
    source
        The callable itself, the path of a module file, or ``"module:function"``.
    name
        The function's name inside a module file.
    """

    source: Callable[..., Any] | str
    name: str

    @classmethod
    def of(cls, source: Callable[..., Any] | str, *, name: str, call: str) -> UserFunction:
        """Check what the user gave to ``call``.

        Parameters
        ----------
        source
            A callable, the path of a ``.py`` file or ``"module:function"``.
        name
            TFX's name of the function, looked up in a module file.

        Raises
        ------
        ArgumentError
            If it is none of the three, or the file does not exist.
        """
        if callable(source):
            return cls(source, getattr(source, "__name__", type(source).__name__))
        if isinstance(source, str) and source.endswith(".py"):
            if not Path(source).is_file():
                raise ArgumentError(
                    f"{call}(): there is no module file {source!r}.", fix="Give the path of an existing .py file."
                )
            return cls(str(Path(source).resolve()), name)
        if isinstance(source, str) and ":" in source:
            return cls(source, source.rpartition(":")[2])
        raise ArgumentError(
            f"{call}() takes a function, got {source!r}.",
            fix='Give a callable, "path/to/module.py" or "module:function".',
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Its file may not be there where it goes.
        source = self.resolve() if isinstance(self.source, str) and carrying.is_elsewhere() else self.source
        if not isinstance(source, str | Sent):
            source = Sent(self.packed(source), self.where)
        return UserFunction, (source, self.name)

    def packed(self, value: object) -> bytes:
        """``value``, which is or holds this function, as bytes that go to workers.

        Raises
        ------
        UserCodeError
            If it cannot be pickled.
        """
        try:
            return carrying.dumps(value)
        except FluentPipeError:
            raise
        except Exception as error:
            raise UserCodeError(
                f"{self.name} cannot be sent to workers: {type(error).__name__}: {str(error).rstrip('.')}.",
                where=self.where,
                fix="Make what cannot be pickled (a lock, a connection, an open file, a TensorFlow table or dataset) "
                "inside the function.",
            ) from error

    @property
    def where(self) -> str:
        """Function, file and line, as a person looks for it."""
        if isinstance(self.source, Sent):
            return self.source.where
        if isinstance(self.source, str):
            return f"{self.name} in {self.source}" if self.is_file else self.source
        code = getattr(self.source, "__code__", None)
        return f"{self.name} ({code.co_filename}:{code.co_firstlineno})" if code else self.name

    @property
    def is_file(self) -> bool:
        """True for a function in a module file."""
        return isinstance(self.source, str) and self.source.endswith(".py")

    def resolve(self) -> Callable[..., Any]:
        """The callable; imports its module where it was given by name.

        Raises
        ------
        UserCodeError
            If the module cannot be imported or does not hold the function.
        """
        if isinstance(self.source, Sent):
            return self.source.loaded()
        if callable(self.source):
            return self.source
        try:
            module = (
                _load_file(Path(self.source))
                if self.is_file
                else importlib.import_module(self.source.partition(":")[0])
            )
        except Exception as error:
            raise UserCodeError(f"{self.source} cannot be imported: {type(error).__name__}: {error}.") from error
        function = getattr(module, self.name, None)
        if not callable(function):
            names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise UserCodeError(f"{self.source} holds no function {self.name!r}.", got=self.name, valid=names)
        return function  # type: ignore[no-any-return]


def called(function: UserFunction, callable_: Callable[..., Any], *arguments: Any, names: Iterable[str] = ()) -> Any:
    """What the user's function returns.

    Parameters
    ----------
    names
        What is valid where the function looks something up by a name that does not exist.

    Raises
    ------
    UserCodeError
        If it raises; names function, file and line.
    """
    try:
        return callable_(*arguments)
    except Interrupted:
        raise
    except FluentPipeError as error:
        raise UserCodeError(
            error.fact, where=_where(function, callable_, error), got=error.got, valid=error.valid, fix=error.fix
        ) from error
    except KeyError as error:
        key = error.args[0] if error.args else None
        raise UserCodeError(
            f"KeyError: {key!r}.", where=_where(function, callable_, error), got=key, valid=names
        ) from error
    except Exception as error:
        text = str(error).strip().rstrip(".")
        raise UserCodeError(f"{type(error).__name__}: {text}.", where=_where(function, callable_, error)) from error


def _where(function: UserFunction, callable_: Callable[..., Any], error: Exception) -> str:
    """The line of the user's file that the error came through last."""
    code = getattr(inspect.unwrap(callable_), "__code__", None)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
    return f"{function.name} ({frames[-1].filename}:{frames[-1].lineno})" if frames else function.where


def _load_file(path: Path) -> Any:
    name = f"_fluent_pipe_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # its sibling modules import as they would for a script
    try:
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
