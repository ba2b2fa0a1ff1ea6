"""Fingerprints of module files that are not imported: their syntax trees and those of the local files they import."""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from fluent_pipe.errors import ArgumentError
from fluent_pipe.store import libraries
from fluent_pipe.store.content import DIGEST_BYTES

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def of_module_file(path: Path, name: str | None = None) -> str:
    """Fingerprint of a Python file, without importing it.

    Comments, docstrings and positions do not count. Local files that it imports are followed; installed packages
    count by name and version.

    Parameters
    ----------
    path
        The file.
    name
        The function that is meant; it must be defined or imported at the top of the file.

    Returns
    -------
    str
        BLAKE2b, 32 hexadecimal digits.

    Raises
    ------
    ArgumentError
        If the file is missing, is not valid Python, or does not define ``name``.
    """
    path = path.absolute()
    found, packages = local_files(path)
    if name is not None:
        _check_defined(found[path], path, name)
    digest = hashlib.blake2b(f"module {name}\n".encode(), digest_size=DIGEST_BYTES)
    # Names relative to the first file, so that a project that moved as a whole keeps its keys.
    for relative, file in sorted((Path(os.path.relpath(file, path.parent)).as_posix(), file) for file in found):
        counted = "." if file == path else relative
        digest.update(f"{counted} {_dump(found[file])}\n".encode())
    for package in sorted(packages):
        digest.update(f"library {package}\n".encode())
    return digest.hexdigest()


def local_files(path: Path) -> tuple[dict[Path, ast.Module], set[str]]:
    """A file and the local files that it imports, with their syntax trees; and the installed packages.

    Raises
    ------
    ArgumentError
        If a file cannot be read, or is not valid Python.
    """
    found: dict[Path, ast.Module] = {}
    packages: set[str] = set()
    waiting = [path.absolute()]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found[file] = _parse(file)
        for level, imported in _imports(found[file]):
            waiting.extend(_resolve(level, imported, file, packages))
    return found, packages


def of_module_name(reference: str) -> str:
    """Fingerprint of ``"module:function"`` or ``"module"``, without importing it.

    Raises
    ------
    ArgumentError
        If there is no such module, it has no Python source, or it does not define the function.
    """
    _, _, name = reference.partition(":")
    return of_module_file(file_of(reference), name or None)


def file_of(reference: str) -> Path:
    """The source file of ``"module:function"`` or ``"module"``, found without importing it.

    Raises
    ------
    ArgumentError
        If there is no such module, or it has no Python source.
    """
    module = reference.partition(":")[0]
    file, exists = libraries.find_file(module)
    if not exists:
        raise ArgumentError(f"There is no module {module!r}.", got=reference, fix="Check its name and PYTHONPATH.")
    if file is None or file.suffix != ".py":
        raise ArgumentError(f"Module {module!r} has no Python source to fingerprint.", got=reference)
    return file


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except OSError as error:
        raise ArgumentError(f"The module file cannot be read: {error.strerror}.", where=str(path)) from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        raise ArgumentError(f"This is not valid Python: {error}.", where=where) from error


def _dump(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(level, dotted name) of every import, those inside functions too; ``from x import y`` may mean a module x.y."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield node.level, module
            yield from ((node.level, f"{module}.{alias.name}".lstrip(".")) for alias in node.names)


def _resolve(level: int, name: str, file: Path, packages: set[str]) -> list[Path]:
    """Local files that an import loads: the module, and the ``__init__.py`` of packages above it."""
    if level:
        base = file.parents[level - 1] if level <= len(file.parents) else file.parent
        return _beneath(base, name)
    for base in _bases(file):
        local = _beneath(base, name)
        if local:
            return local
    top = name.partition(".")[0]
    origin, exists = libraries.find_file(top)
    if not exists:
        return []
    if libraries.is_library(top, None if origin is None else str(origin)):
        packages.add(libraries.label(top))
        return []
    if origin is None:
        return []
    return _beneath(origin.parent.parent if origin.stem == "__init__" else origin.parent, name)


def _bases(file: Path) -> list[Path]:
    """Folders where absolute imports of a local file are looked for: its own, and above its packages."""
    top = file.parent
    while (top / "__init__.py").is_file() and top.parent != top:
        top = top.parent
    return list(dict.fromkeys((file.parent, top)))


def _beneath(base: Path, name: str) -> list[Path]:
    files: list[Path] = []
    folder = base
    if not name:
        return [init] if (init := base / "__init__.py").is_file() else []
    for part in name.split("."):
        module, package = folder / f"{part}.py", folder / part / "__init__.py"
        if package.is_file():
            files.append(package)
        elif module.is_file():
            files.append(module)
            break
        elif not (folder / part).is_dir():
            break
        folder = folder / part
    return [file for file in files if file.suffix == ".py" and not libraries.is_library_file(str(file))]


def _check_defined(tree: ast.Module, path: Path, name: str) -> None:
    defined = sorted(top_names(tree))
    if name not in defined and "*" not in defined:
        functions = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        raise ArgumentError(f"The module does not define {name!r}.", where=str(path), got=name, valid=functions)


def top_names(tree: ast.Module) -> set[str]:
    """Names that a module defines or imports at its top; ``"*"`` where it imports all of another."""
    return set(_top_names(tree.body))


def _top_names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for child in ast.iter_child_nodes(node):
                yield from _top_names([child]) if isinstance(child, ast.stmt) else ()
                yield from _top_names(child.body) if isinstance(child, ast.ExceptHandler) else ()
        else:
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
