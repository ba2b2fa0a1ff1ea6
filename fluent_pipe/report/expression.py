"""A chain as the Python text that makes it, from what its steps were asked for: to read, and mostly to run again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluent_pipe.report.blanking import blanked, is_secret
from fluent_pipe.steps.base import Earlier, Ref, Step
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.limits import ChangeLimit, Distance, ValueLimit
from fluent_pipe.steps.own import Apply, RowExpression
from fluent_pipe.steps.paths import default_root
from fluent_pipe.steps.resources import Resources
from fluent_pipe.steps.sources import FileSource, FromMemory, InMemory, Source, Transform

if TYPE_CHECKING:
    from fluent_pipe.chain import Chain

WIDTH = 100
"""Columns that a call may take before its arguments stand in lines of their own."""
MOST_TEXT = 200
MOST_ITEMS = 20

_DERIVED = ("id", "cached", "conditions", "split", "split_names", "train_split", "validation_split", "kind")
_FUNCTIONS = ("build_model", "run_fn", "tuner_fn")
_UNNAMED = ("data", "rows", "path", "function", "source", *_FUNCTIONS)
_MAPPINGS = ("splits", "types", "options", "drift", "skew", "require", "class_weights")
_RENAMED = {"data_version": "version"}
_CALLED = {"patterns": "uri", "source": "rows", "data": "rows", **dict.fromkeys(_FUNCTIONS, "function")}


def python_text(chain: Chain) -> str:
    """The chain as Python text; arguments that are left at their defaults are left out, and passwords blanked.

    Functions stand as ``"module:function"``, which every call takes.

    Examples
    --------
    >>> import fluent_pipe as fp
    >>> print(python_text(fp.Pipeline("flights").from_csv("a.csv", splits={"train": 1}).generate_statistics()))
    fp.Pipeline("flights")
        .from_csv("a.csv", splits={"train": 1})
        .generate_statistics()
    """
    lines = ["fp.Pipeline" + _in_brackets(_head(chain))]
    known: tuple[Any, ...] = ()
    for step in chain.steps:
        lines += [f"    .when({value_text(c.function)})" for c in step.conditions[len(known) :]]
        known = step.conditions
        lines.append(f"    .{call_text(step)}" + ("" if step.cached else ".cache(False)"))
    lines += [f"    .when({value_text(c.function)})" for c in chain.conditions[len(known) :]]
    lines += [f"    .on_{hook.on}({value_text(hook.function)})" for hook in chain.hooks]
    return blanked("\n".join(lines))


def arguments(step: Step) -> dict[str, str]:
    """What a step was asked for, defaults too, as texts by the names of the call's arguments."""
    found = {name or _CALLED.get(field, field): value for field, name, value, _ in _arguments(step)}
    return {name: blanked(_named(name, value)) for name, value in found.items()}


def call_text(step: Step) -> str:
    """One call, without the dot before it."""
    if isinstance(step, Apply):
        return f"apply({value_text(step.component)})"
    given = [(name, value) for _, name, value, default in _arguments(step) if name is None or value != default]
    unnamed = [value_text(value) for name, value in given if name is None]
    texts = [*unnamed, *(f"{name}={_named(name, value)}" for name, value in given if name is not None)]
    return (step.kind if isinstance(step, FromMemory) else step.call) + _in_brackets(texts, indent=4)


def _head(chain: Chain) -> list[str]:
    named = {"root": str(chain.root) if chain.root != default_root() else None, "metadata": chain.metadata}
    return [value_text(chain.name), *(f"{k}={value_text(v)}" for k, v in named.items() if v is not None)]


def _in_brackets(texts: Iterable[str], indent: int = 0) -> str:
    several = list(texts)
    line = f"({', '.join(several)})"
    if len(line) <= WIDTH - 20 or len(several) < 2:
        return line
    space = " " * (indent + 4)
    return "(\n" + "".join(f"{space}{text},\n" for text in several) + " " * indent + ")"


def _arguments(step: Step) -> Iterator[tuple[str, str | None, Any, Any]]:
    """Field, name of the argument (None: not given by name), value, and default."""
    if isinstance(step, Apply):
        yield from ((name, name, value, ...) for name, value in step.component.arguments)
        return
    for field in dataclasses.fields(step):
        value = getattr(step, field.name)
        if field.name not in _left_out(step) and not isinstance(value, Ref) and "streams" not in field.metadata:
            yield field.name, *_argument(step.call, field, value)


def _left_out(step: Step) -> frozenset[str]:
    """Fields that no argument of the call gives, or that say nothing."""
    none = {name for name in (*_FUNCTIONS, "depth") if getattr(step, name, ...) is None}
    by_file = isinstance(step, FileSource) and bool(step.patterns[0][0])
    found = getattr(step, "depth", None) is not None
    return frozenset({*_DERIVED, *none, *(["splits"] if by_file else []), *(["slices"] if found else [])})


def _argument(call: str, field: dataclasses.Field[Any], value: Any) -> tuple[str | None, Any, Any]:
    """Name, value and default of the argument that gives a field."""
    match field.name:
        case "destination":
            return "to" if call == "bulk_infer" else None, value, ...
        case "depth":
            return "slices", "auto" if value == 2 else value, ...
        case "patterns":
            return None, _paths(value), ...
        case "custom_config":
            return field.name, None if value is None else json.loads(value), None
        case "against" | "baseline" | "warm_start":
            return field.name, *_earlier(field.name, value)
        case name if name in _UNNAMED and value is not None:
            return None, value, ...
        case name:
            return _RENAMED.get(name, name), _shaped(name, value), _shaped(name, field.default)


def _earlier(field: str, value: Any) -> tuple[Any, Any]:
    """The argument that a reference to an earlier run stands for, and its default."""
    default = {"against": "latest", "baseline": "latest_blessed", "warm_start": None}[field]
    if not isinstance(value, Earlier):
        return value, default
    if value.run is not None:
        return value.run, default
    blessed = "latest" if field == "against" or value.judged_by is None else "latest_blessed"
    return blessed, default


def _shaped(field: str, value: Any) -> Any:
    """A step's hashable value as the user gave it: mappings and lists."""
    if field in _MAPPINGS and isinstance(value, tuple):
        made = {k: v[0] if field == "require" and len(v) == 1 else v for k, v in value}
        return made["*"] if field in ("drift", "skew") and list(made) == ["*"] else made
    if field == "slices" and isinstance(value, tuple):
        return [one[0] if len(one) == 1 else list(one) for one in value]
    return list(value) if isinstance(value, tuple) else value


def _paths(patterns: Iterable[tuple[str, tuple[str, ...]]]) -> Any:
    by_split = {split: paths[0] if len(paths) == 1 else list(paths) for split, paths in patterns}
    return by_split[""] if list(by_split) == [""] else by_split


def value_text(value: Any) -> str:
    """A value as Python text; what is long is shortened, and what is no value of Python's stands for itself."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{" + _joined([f"{value_text(k)}: {_named(str(k), v)}" for k, v in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + _joined([value_text(v) for v in value]) + "]"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return _own(value)


def _named(name: str, value: Any) -> str:
    return '"***"' if isinstance(value, str) and is_secret(name) else value_text(value)


def _own(value: Any) -> str:
    """What the library's own values look like where a person writes them."""
    if isinstance(value, UserFunction):
        return _function(value)
    if isinstance(value, Distance):
        call = {"jensen_shannon_divergence": "jensen_shannon", "infinity_norm": "infinity_norm"}[value.measure]
        return f"fp.{call}({value.threshold!r})"
    if isinstance(value, (ValueLimit, ChangeLimit)):
        return _limit(value)
    if isinstance(value, Resources):
        asked = {
            f.name: getattr(value, f.name) for f in dataclasses.fields(value) if getattr(value, f.name) != f.default
        }
        return f"fp.Resources({', '.join(f'{name}={value_text(v)}' for name, v in asked.items())})"
    if isinstance(value, InMemory):
        return "frame" if type(value.rows).__name__ == "DataFrame" else "table"
    if isinstance(value, Source):
        alone = [n for _, n, v, d in _arguments(value) if n is not None and v != d]
        return f'fp.Pipeline("rows").{call_text(value)}' if alone else value_text(_unnamed(value))
    if isinstance(value, RowExpression):
        return _shortened(value.text)
    if isinstance(value, Transform):
        return f"{value!r}(...)"
    named = getattr(value, "arguments", None)
    if named is not None and hasattr(value, "function"):  # a component of the user's own
        given = ", ".join(f"{k}={_named(k, v)}" for k, v in named)
        return f"{value.name}({given})" if named else str(value.name)
    if isinstance(value, Path):
        return _quoted(str(value))
    try:
        return _shortened(repr(value))
    except Exception:  # a class of the user's may raise anything
        return f"{type(value).__name__}(...)"


def _unnamed(step: Step) -> Any:
    return next(value for _, name, value, _ in _arguments(step) if name is None)


def _limit(limit: ValueLimit | ChangeLimit) -> str:
    change = "change_" if isinstance(limit, ChangeLimit) else ""
    side = "at_most" if limit.at_least is None else "at_least"
    given = [repr(getattr(limit, side))]
    if isinstance(limit, ChangeLimit) and limit.relative:
        given.append("relative=True")
    if limit.slices:
        given.append(f"slices={value_text(_shaped('slices', limit.slices))}")
    return f"fp.{change}{side}({', '.join(given)})"


def _function(function: UserFunction) -> str:
    """``"module:function"`` where another process finds it so, else its name."""
    source = function.source
    if isinstance(source, str):
        return _quoted(source)
    name = getattr(source, "__qualname__", function.name)
    if "<" in name:
        return f"<{function.where}>" if "lambda" in name else function.name
    module = getattr(source, "__module__", None) or ""
    if module == "__main__" or module.startswith("_fluent_pipe_"):
        file = Path(getattr(getattr(source, "__code__", None), "co_filename", ""))
        module = file.stem if file.is_file() and file.stem.isidentifier() else ""
    return _quoted(f"{module}:{name}") if module else name


def _quoted(text: str) -> str:
    text = _shortened(text)
    return json.dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)


def _joined(items: list[str]) -> str:
    more = [] if len(items) <= MOST_ITEMS else [f"... and {len(items) - MOST_ITEMS} more"]
    return ", ".join(items[:MOST_ITEMS] + more)


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT].rstrip() + "…"
