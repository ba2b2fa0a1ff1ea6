"""A runner, or any other dataclass, from the words of a command line."""

from __future__ import annotations

import difflib
import types
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from fluent_pipe.errors import ArgumentError

T = TypeVar("T")

SURELY_MEANT = 0.9  # likeness from which a flag is a mistyped field, not one for ``options``
OPTIONS = "options"  # the field that takes the flags which are no fields
SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
SEVERAL = (tuple, list, Sequence, Collection, Iterable)
IN_WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text", Path: "a path"}


def from_flags(kind: type[T], words: Sequence[str]) -> T:
    """A value of the dataclass ``kind``.

    Parameters
    ----------
    kind
        Its fields are the flags, each of the field's type. Where it has a mapping ``options``, other flags go there.
    words
        ``--flag=value``, ``--flag value``, or ``--flag`` for True; ``-`` and ``_`` in a flag's name are one. A flag
        that takes several values takes them with commas between, or is given several times.

    Raises
    ------
    ArgumentError
        If a flag is unknown, is not of its field's type, or is missing.

    Examples
    --------
    >>> from fluent_pipe.runners.direct import Direct
    >>> from_flags(Direct, ["--workers=2", "--mode", "multi_threading"])
    Direct(workers=2, mode='multi_threading')
    """
    known: dict[str, Field[Any]] = {f.name: f for f in fields(kind) if f.init}  # type: ignore[arg-type]
    takes_options = known.pop(OPTIONS, None) is not None
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    options: dict[str, object] = {}
    for name, texts in _given(words, kind, known).items():
        if name in known:
            values[name] = _value(name, texts, hints[name], kind)
        elif takes_options and not difflib.get_close_matches(name, known, n=1, cutoff=SURELY_MEANT):
            options[name] = True if texts == [None] else texts[0] if len(texts) == 1 else tuple(texts)
        else:
            raise ArgumentError(f"{kind.__name__} has no {_flag(name)}.", got=_flag(name), valid=map(_flag, known))
    missing = [_flag(f.name) for f in known.values() if f.name not in values and _is_required(f)]
    if missing:
        raise ArgumentError(f"{kind.__name__} needs {' and '.join(missing)}.")
    return kind(**values, **({OPTIONS: options} if options else {}))


def _given(words: Sequence[str], kind: type[Any], known: Mapping[str, Field[Any]]) -> dict[str, list[str | None]]:
    """Texts by flag; None for a flag that stands alone."""
    given: dict[str, list[str | None]] = {}
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            example = next((f"For example {_flag(f.name)}={word}." for f in known.values() if not f.kw_only), None)
            raise ArgumentError(f"{kind.__name__} takes flags, --NAME=VALUE, got {word!r}.", fix=example)
        alone = not equals and (not rest or rest[-1].startswith("--"))
        given.setdefault(name.replace("-", "_"), []).append(None if alone else text if equals else rest.pop())
    return given


def _value(name: str, texts: Sequence[str | None], hint: Any, kind: type[Any]) -> Any:
    try:
        return _converted(texts, hint)
    except ValueError:
        got = " ".join(repr(t) for t in texts if t is not None) or "no value"
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        fact = f"{kind.__name__}'s {_flag(name)} takes {_in_words(hint)}, got {got}."
        raise ArgumentError(fact, got=texts[-1], valid=choices, listed=False) from None


def _converted(texts: Sequence[str | None], hint: Any) -> Any:
    """The texts as a value of a type; ValueError where they are none."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _first_that_fits(texts, _members(hint))
    if origin in SEVERAL:
        return tuple(_converted([part], get_args(hint)[0]) for part in _parts(texts))
    if origin in (dict, Mapping):
        pairs = [part.partition("=") for part in _parts(texts)]
        if not all(key and equals for key, equals, _ in pairs):
            raise ValueError(texts)
        return {key: _converted([text], get_args(hint)[1]) for key, _, text in pairs}
    if len(texts) != 1:
        raise ValueError(texts)
    return _single(texts[0], hint)


def _single(text: str | None, hint: Any) -> Any:
    if hint is bool:
        if text is not None and text.lower() not in SWITCHES:
            raise ValueError(text)
        return text is None or SWITCHES[text.lower()]
    if text is None:
        raise ValueError(text)
    if get_origin(hint) is Literal:
        choices = {str(choice): choice for choice in get_args(hint)}
        if text in choices:
            return choices[text]
    elif hint in IN_WORDS:
        return hint(text)
    raise ValueError(text)


def _first_that_fits(texts: Sequence[str | None], hints: Iterable[Any]) -> Any:
    for hint in hints:
        try:
            return _converted(texts, hint)
        except ValueError:
            continue
    raise ValueError(texts)


def _members(union: Any) -> list[Any]:
    """Types of a union, without None; text last, since any text is one."""
    return sorted((m for m in get_args(union) if m is not type(None)), key=lambda member: member is str)


def _parts(texts: Sequence[str | None]) -> list[str]:
    if None in texts:
        raise ValueError(texts)
    return [part.strip() for text in texts if text is not None for part in text.split(",") if part.strip()]


def _in_words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(m) for m in _members(hint))
    if origin is Literal:
        return " or ".join(map(str, get_args(hint)))
    if origin in SEVERAL:
        return "values with commas between"
    if origin in (dict, Mapping):
        return "KEY=VALUE with commas between"
    return IN_WORDS.get(hint, "what no flag can give")


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
