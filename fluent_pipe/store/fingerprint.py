"""Fingerprints: short hashes that are equal when, and only when, the content is.

They make the cache keys: of input files and published folders, of the values that a step holds, and of the user's code,
whether it comes as a function, as a module file or as ``"module:function"``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluent_pipe.store.content import FileHashes, of_file, of_folder
from fluent_pipe.store.objects import Walk
from fluent_pipe.store.sources import of_module_file, of_module_name

__all__ = ["FileHashes", "of_code", "of_file", "of_folder", "of_module_file", "of_module_name", "of_value"]


def of_code(function: Callable[..., Any]) -> str:
    """Fingerprint of a callable: of all that decides what it does.

    That is its bytecode with nested code, default values, closure values and the globals that it reads, followed
    through the user's own functions, classes and modules. Libraries count by name and version. Comments, docstrings
    and the place in the file do not count.

    Parameters
    ----------
    function
        Function, lambda, method, ``functools.partial``, class, callable instance, decorated or built-in function.

    Returns
    -------
    str
        BLAKE2b, 32 hexadecimal digits.

    Raises
    ------
    ArgumentError
        If it reads a value whose content cannot be told from run to run, such as an open file; the value is named.
    """
    walk = Walk()
    walk.feed(function, getattr(function, "__name__", "") or type(function).__name__)
    return walk.hexdigest()


def of_value(value: object, *, name: str = "") -> str:
    """Fingerprint of a value by its type and content.

    None, bool, int, float, str, bytes, paths, tuples, lists, dicts (in any order), sets, enums, dataclasses, callables
    (see :func:`of_code`), numpy arrays, objects with a ``__fingerprint__()`` method, and others by the state that
    pickle would take. ``1``, ``True``, ``1.0`` and ``"1"`` differ.

    Parameters
    ----------
    value
        The value.
    name
        What an error calls it.

    Returns
    -------
    str
        BLAKE2b, 32 hexadecimal digits.

    Raises
    ------
    ArgumentError
        If some part of it has no content that stays the same from run to run; the part is named.
    """
    walk = Walk()
    walk.feed(value, name)
    return walk.hexdigest()
