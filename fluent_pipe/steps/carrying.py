"""Functions of the user's on their way to other processes, by cloudpickle.

A worker in another process can import what is installed there, and nothing else: not the script or notebook that holds
a function, not a module that lies beside it. Those are carried by value, with the globals that are read.
"""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

LOADED = "_fluent_pipe_"  # module files, wherever they lie: no import finds them under that name
NOT_CARRIED = (__name__.partition(".")[0], "__main__")  # staged as a wheel; always carried
_carried: list[set[str]] = []  # names of modules carried by value, of each elsewhere() under way


@contextmanager
def elsewhere() -> Iterator[None]:
    """Within this, what is pickled goes to other processes: modules that are not installed are carried by value."""
    modules: set[str] = set()
    _carried.append(modules)
    _carry_new_modules()
    try:
        yield
    finally:
        _carried.remove(modules)
        for name in modules:
            _unregister(name)


def is_elsewhere() -> bool:
    """Whether what is pickled now goes to other processes."""
    return bool(_carried)


def dumps(value: Any) -> bytes:
    """``value`` as bytes that :func:`pickle.loads` takes, here and where the work is done."""
    import cloudpickle

    _carry_new_modules()
    return cloudpickle.dumps(value)  # type: ignore[no-any-return]


def is_local_file(file: str) -> bool:
    """Whether a module's file lies beside the user's code, rather than being installed."""
    return file.endswith(".py") and not file.startswith(_installed())


def _carry_new_modules() -> None:
    if not _carried:
        return
    import cloudpickle

    known = cloudpickle.list_registry_pickle_by_value()
    for name, module in list(sys.modules.items()):
        if name not in known and _is_local(name, module):
            cloudpickle.register_pickle_by_value(module)
            _carried[-1].add(name)


def _is_local(name: str, module: object) -> bool:
    if not isinstance(module, ModuleType) or module.__name__ != name or name.partition(".")[0] in NOT_CARRIED:
        return False
    return name.startswith(LOADED) or is_local_file(getattr(module, "__file__", None) or "")


def _unregister(name: str) -> None:
    import cloudpickle

    if name in sys.modules and name in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.unregister_pickle_by_value(sys.modules[name])


@cache
def _installed() -> tuple[str, ...]:
    """Folders of what is installed: the standard library's and those that pip installs into."""
    paths = sysconfig.get_paths()
    folders = {paths[k] for k in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(f"{f}/" for f in {*folders, *site.getsitepackages(), site.getusersitepackages()})
