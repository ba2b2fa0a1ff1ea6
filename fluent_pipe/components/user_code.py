"""Functions of the user's on their way to workers, and what they raise as an error that names their line."""

from __future__ import annotations

import pickle
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fluent_pipe.errors import FluentPipeError, UserCodeError
from fluent_pipe.steps.functions import UserFunction

_INSTALLED = tuple({sysconfig.get_paths()[k] for k in ("purelib", "platlib", "stdlib")})
_OWN = str(Path(__file__).parents[1]) + "/"
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)', re.MULTILINE)


class Carried:
    """A user's function that pickles, with what it is called with besides.

    It is carried by cloudpickle: by value where its module cannot be imported by its name, with the globals that it
    reads and no others. Beam's own pickler would take all globals of the module along, or lose them.

    Parameters
    ----------
    function
        The function.
    arguments
        Given to it by name at each call.

    Raises
    ------
    UserCodeError
        If it, or what it holds, cannot be pickled.
    """

    def __init__(self, function: UserFunction, **arguments: Any) -> None:
        self.name = function.name
        self.where = function.where
        self._loaded: tuple[Callable[..., Any], dict[str, Any]] | None = None
        self._content = function.packed((function, arguments))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Call the function; ``more`` is given by name too.

        Raises
        ------
        UserCodeError
            If it raises; names the line.
        """
        if self._loaded is None:
            function, named = pickle.loads(self._content)
            self._loaded = function.resolve(), named
        function, named = self._loaded
        return called(self.name, function, *arguments, **named, **more)


def called(name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What ``function`` returns.

    Raises
    ------
    UserCodeError
        If it raises; names the last line of the user's own on the way there.
    """
    try:
        return function(*arguments, **named)
    except FluentPipeError:
        raise
    except (Exception, SystemExit) as error:
        code = getattr(function, "__code__", None)
        frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)[1:]]
        text = f"{type(error).__name__}: {error}".rstrip(".")
        where = _line(frames, code and code.co_filename) or UserFunction(function, name).where
        raise UserCodeError(f"{name} raised {text}.", where=where) from error


def raised_in_job(name: str, where: str, error: Exception) -> UserCodeError:
    """The error for what transforms of the user's raised on a worker.

    Beam gives the exception itself from a worker in this process, else a ``RuntimeError`` whose text is its traceback.
    The line told is the user's last one on the way there; ``where`` if there is none.
    """
    told = str(error)
    lines = [line for line in told.strip().splitlines() if line.strip()]
    said = re.sub(r" \[while running '.*", "", lines[-1]).strip().rstrip(".") if lines else "nothing"
    frames = [(file, int(line)) for file, line in _FRAME.findall(told)]
    if not frames:
        said = f"{type(error).__name__}: {said}"
        frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    return UserCodeError(f"{name} raised {said}.", where=_line(frames, None) or where)


def _line(frames: Iterable[tuple[str, int]], file: str | None) -> str | None:
    known = list(frames)
    own = [(f, n) for f, n in known if f == file]
    own = own or [(f, n) for f, n in known if Path(f).is_absolute() and not f.startswith((*_INSTALLED, _OWN))]
    return f"{own[-1][0]}:{own[-1][1]}" if own else None
