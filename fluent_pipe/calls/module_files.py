"""Module files that the user names: which function is meant, and what TFX has in them that is not here.

They are read, not imported: nothing of them runs before the pipeline does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.store import sources

REPLACEMENTS: Mapping[str, str] = {
    "FnArgs": "leave the annotation out, as in run_fn(fn_args)",
    "DataAccessor": "leave the annotation out; fn_args.data_accessor is one",
    "TunerFnResult": 'collections.namedtuple("TunerFnResult", ["tuner", "fit_kwargs"])',
    "fileio": "tf.io.gfile",
    "io_utils": "tfdv.load_schema_text(path) for a schema, tf.io.gfile for files",
    "parse_pbtxt_file": "tfdv.load_schema_text(path)",
    "logging": "Python's own logging",
}
"""What takes the place of what module files use of TFX, by a part of its dotted name."""


def user_function(source: Callable[..., Any] | str, *names: str, call: str) -> UserFunction:
    """The user's function, checked.

    Parameters
    ----------
    source
        A callable, ``"path/to/module.py"`` or ``"module:function"``.
    names
        What a module file may call it; the first that it has is meant.
    call
        The call that takes it.

    Raises
    ------
    ArgumentError
        If there is no such file or function, it is not valid Python, or it or a local file beside it imports ``tfx``.
    """
    function = UserFunction.of(source, name=names[-1], call=call)
    if callable(function.source):
        return function
    file = Path(function.source) if function.is_file else sources.file_of(function.source)
    trees, _ = sources.local_files(file)
    for path, tree in trees.items():
        _refuse_tfx(tree, path, call, inside=path == file.absolute())
    if not function.is_file:
        return function
    defined = sources.top_names(trees[file.absolute()])
    if not defined & {*names, "*"}:
        raise ArgumentError(
            f"{call}(): the module file has no function {' or '.join(names)}.", where=str(file), valid=sorted(defined)
        )
    return UserFunction(function.source, next((name for name in names if name in defined), names[-1]))


def _refuse_tfx(tree: ast.Module, path: Path, call: str, *, inside: bool) -> None:
    imports = list(_imports_of_tfx(tree.body, inside=inside))
    if not imports:
        return
    used = [name for node in imports for name in _used(node, tree)]
    raise ArgumentError(
        f"{call}(): this module file imports tfx, which is not needed here: `{ast.unparse(imports[0])}`.",
        where=f"{path}:{imports[0].lineno}",
        fix=f"Replace {'; '.join(f'{name}: {_replacement(name)}' for name in dict.fromkeys(used))}.",
    )


def _imports_of_tfx(body: list[ast.stmt], *, inside: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports of ``tfx`` that would be made: not those for type checkers, nor those that may fail.

    Parameters
    ----------
    inside
        Whether functions are looked into too; in a file beside the module file they may have other users.
    """
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if any(name.split(".")[0] == "tfx" for name in _imported(node)):
                yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports_of_tfx(node.orelse, inside=inside)
        elif isinstance(node, ast.FunctionDef) and not inside:
            continue
        elif not (isinstance(node, ast.Try) and any(_catches_imports(handler) for handler in node.handlers)):
            for part in ("body", "orelse", "finalbody", "handlers"):
                yield from _imports_of_tfx(getattr(node, part, None) or [], inside=inside)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Dotted names of what an import names; those of a relative one begin with a dot."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names]


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    caught = ast.unparse(handler.type) if handler.type else "Exception"
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))


def _used(node: ast.Import | ast.ImportFrom, tree: ast.Module) -> Iterator[str]:
    """Dotted names of what is used of an import; the import itself where nothing is."""
    for alias, whole in zip(node.names, _imported(node), strict=True):
        if whole.split(".")[0] != "tfx":
            continue
        plain = isinstance(node, ast.Import) and not alias.asname  # `import tfx.v1` binds tfx
        local, origin = ("tfx", "tfx") if plain else (alias.asname or alias.name, whole)
        chains = [chain for chain in map(_dotted, _outermost(tree)) if chain.split(".")[0] == local]
        yield from [origin + chain[len(local) :] for chain in chains] or [whole]


def _outermost(tree: ast.AST) -> Iterator[ast.expr]:
    """Names with all the attributes that are asked of them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and _dotted(node):
            yield node
        else:
            yield from _outermost(node)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    inner = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _replacement(name: str) -> str:
    known = [REPLACEMENTS[part] for part in name.split(".") if part in REPLACEMENTS]
    return known[-1] if known else "what TensorFlow, TFT or tfx-bsl have for it"
