"""Checks of arguments at the call: each returns the value in the form that a step keeps, or raises ArgumentError."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fluent_pipe import remote
from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps import metrics
from fluent_pipe.steps.base import Pairs
from fluent_pipe.steps.limits import ChangeLimit, Distance, ValueLimit
from fluent_pipe.steps.resources import Resources

MOST_SLICE_COLUMNS = 3
COLUMN_TYPES = ("int", "float", "string", "bool", "date", "timestamp")
T = TypeVar("T")


def patterns(uri: Any, call: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Patterns by split; the split is ``""`` where rows are split by hash."""
    if isinstance(uri, Mapping):
        if not uri:
            raise ArgumentError(f"{call}() got no split.", fix='Give patterns by split, such as {"train": "a/*.csv"}.')
        return tuple((_split_name(name), _paths(p, call)) for name, p in uri.items())
    return (("", _paths(uri, call)),)


def _paths(uri: Any, call: str) -> tuple[str, ...]:
    several = uri if isinstance(uri, Sequence) and not isinstance(uri, str) else [uri]
    if not several or not all(isinstance(p, (str, os.PathLike)) and str(p) for p in several):
        raise ArgumentError(f"{call}() takes a path, a glob or a list of them, got {uri!r}.")
    return tuple(remote.checked(os.fspath(p), what=f"{call}()") for p in several)


def splits(given: Mapping[str, float] | None, uri: Any, default: Mapping[str, float]) -> Pairs:
    """Split names and shares."""
    if isinstance(uri, Mapping):
        if given is not None:
            raise ArgumentError("splits= cannot be given with patterns by split.", fix="Give one of the two.")
        return ()
    shares = default if given is None else _mapping(given, "splits", '{"train": 8, "eval": 2}')
    bad = [n for n, s in shares.items() if isinstance(s, bool) or not isinstance(s, (int, float)) or not s > 0]
    if not shares or bad:
        raise ArgumentError(
            f"splits= needs a positive share for every split, got {dict(shares)!r}.",
            fix='For example {"train": 8, "eval": 2}.',
        )
    return tuple((_split_name(name), share) for name, share in shares.items())


def _split_name(name: object) -> str:
    if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
        raise ArgumentError(f"Split name {name!r} is not valid.", fix="Use letters, digits, '_' and '-'.")
    return name


def _mapping(given: Any, name: str, example: str) -> Mapping[Any, Any]:
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{name}= takes a mapping, got {given!r}.", fix=f"For example {example}.")
    return given


def training_split(names: tuple[str, ...]) -> str:
    """The split to train on: ``train`` if there is one, else the first."""
    return "train" if "train" in names or not names else names[0]


def training_first(names: tuple[str, ...]) -> tuple[str, ...]:
    """The splits with the one to train on first."""
    first = training_split(names)
    return (first, *(n for n in names if n != first))


def validation_split(names: tuple[str, ...]) -> str | None:
    """The split to validate on while training; None if there is only one split."""
    others = [n for n in names if n != training_split(names)]
    return next((n for n in ("validation", "val", "valid", "eval") if n in others), others[0] if others else None)


def evaluation_split(names: tuple[str, ...]) -> str:
    """The split to evaluate on: ``test``, ``eval``, else the last."""
    return next((n for n in ("test", "eval") if n in names), names[-1] if names else "eval")


def share(value: float, name: str, *, above_zero: bool = False) -> float:
    """A share in [0, 1]."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0 <= value <= 1
        or (above_zero and value == 0)
    ):
        raise ArgumentError(
            f"{name}= is a share {'above 0 and up to' if above_zero else 'from 0 to'} 1, got {value!r}."
        )
    return float(value)


def count(value: int, name: str) -> int:
    """A whole number of one or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name}= is a whole number of at least 1, got {value!r}.")
    return value


def character(value: str, name: str) -> str:
    """One ASCII character."""
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n":
        raise ArgumentError(f"{name}= is one ASCII character, got {value!r}.")
    return value


def dialect(delimiter: str, quote: str, escape: str | None) -> dict[str, Any]:
    """Delimiter, quote and escape: single characters that differ."""
    given = {"delimiter": delimiter, "quote": quote, "escape": escape}
    checked = {n: None if v is None and n == "escape" else character(v, n) for n, v in given.items()}  # type: ignore[arg-type]
    if len(set(checked.values())) < len(checked):
        raise ArgumentError(f"delimiter=, quote= and escape= must differ, got {delimiter!r}, {quote!r}, {escape!r}.")
    return checked


def encoding(value: str) -> str:
    """An encoding that Python knows."""
    try:
        return codecs.lookup(value).name
    except LookupError as error:
        raise ArgumentError(f"Python knows no encoding {value!r}.", fix='For example "utf-8" or "latin-1".') from error


def column_types(types: Mapping[str, str] | None) -> Pairs:
    """Types by column."""
    types = _mapping(types or {}, "types", '{"zip": "string"}')
    for column, kind in types.items():
        if kind not in COLUMN_TYPES:
            raise ArgumentError(f"Type {kind!r} of column {column!r} is not known.", got=kind, valid=COLUMN_TYPES)
    return tuple(types.items())


def one_of(value: T, valid: tuple[T, ...], name: str) -> T:
    """One of a few values."""
    if value not in valid:
        raise ArgumentError(f"{name}= got {value!r}.", got=value, valid=valid)
    return value


def names(values: Sequence[str], name: str) -> tuple[str, ...]:
    """A list of names."""
    if isinstance(values, str) or not all(isinstance(v, str) for v in values):
        raise ArgumentError(f"{name}= takes a list of names, got {values!r}.")
    return tuple(values)


def metric_names(values: Sequence[str], name: str) -> tuple[str, ...]:
    """A list of names of metrics; which kinds of label they fit is seen later."""
    for value in names(values, name):
        metrics.check_known(value)
    return tuple(values)


def distances(given: Mapping[str, Distance] | Distance | None, name: str) -> Pairs:
    """Distance limits by column; one alone is for every column, under ``"*"``."""
    if given is None:
        return ()
    example = '{"distance": fp.jensen_shannon(0.1)}'
    by_column = {"*": given} if isinstance(given, Distance) else _mapping(given, name, example)
    for column, limit in by_column.items():
        if not isinstance(limit, Distance):
            raise ArgumentError(
                f"{name}= needs a limit for column {column!r}, got {limit!r}.",
                fix="Give fp.jensen_shannon(0.1) or fp.infinity_norm(0.01).",
            )
    return tuple(by_column.items())


def requirements(given: Mapping[str, Any] | None) -> Pairs:
    """Limits by metric."""
    asked = {
        m: tuple(v) if isinstance(v, (list, tuple)) else (v,)
        for m, v in _mapping(given or {}, "require", '{"auc": fp.at_least(0.65)}').items()
    }
    for metric, limits in asked.items():
        metrics.check_known(metric)
        for limit in limits:
            if not isinstance(limit, (ValueLimit, ChangeLimit)):
                raise ArgumentError(
                    f"require= needs a limit for {metric!r}, got {limit!r}.",
                    fix="Give fp.at_least(0.65), fp.at_most(...), fp.change_at_least(...) or fp.change_at_most(...).",
                )
    return tuple(asked.items())


def slice_depth(slices: Any) -> int | None:
    """Most columns of the slices to look for; None if slices are named.

    Examples
    --------
    >>> slice_depth("auto"), slice_depth(1), slice_depth(["carrier"])
    (2, 1, None)
    """
    if slices == "auto":
        return 2
    if isinstance(slices, int):
        if isinstance(slices, bool) or not 1 <= slices <= MOST_SLICE_COLUMNS:
            raise ArgumentError(
                f"slices= looks for slices of 1 to {MOST_SLICE_COLUMNS} columns, got {slices!r}.",
                fix='Give a number, "auto", or columns to slice by.',
            )
        return slices
    return None


def eval_config(given: Any) -> str | None:
    """A ``tfma.EvalConfig`` as text: of one, or of a file that holds one."""
    if given is None:
        return None
    if type(given).__name__ == "EvalConfig":
        return str(given)
    if not isinstance(given, (str, os.PathLike)):
        raise ArgumentError(f"config= takes a tfma.EvalConfig, or a file of one as text, got {given!r}.")
    return Path(file(given, "evaluate")).read_text(encoding="utf-8")


def class_weights(given: Any) -> Any:
    """``"balanced"`` or pairs of class and weight."""
    if given is None or given == "balanced":
        return given
    if not isinstance(given, Mapping) or not all(isinstance(k, int) and v >= 0 for k, v in given.items()):
        raise ArgumentError(
            f"class_weights= got {given!r}.", fix='Give "balanced" or weights by class index: {0: 1.0, 1: 4.0}.'
        )
    return tuple(sorted((k, float(v)) for k, v in given.items()))


def file(path: Any, call: str) -> str:
    """An existing file."""
    if not Path(path).is_file():
        raise ArgumentError(f"{call}(): there is no file {str(path)!r}.")
    return str(Path(path).absolute())


def folder(path: Any, name: str, fix: str | None = None) -> str:
    """An existing folder."""
    if not Path(path).is_dir():
        raise ArgumentError(f"{name}=: there is no folder {str(path)!r}.", fix=fix)
    return str(Path(path).absolute())


def location(place: str | os.PathLike[str], what: str) -> str:
    """A path made absolute, or a URL of an object store."""
    text = os.fspath(place)
    return remote.checked(text, what=what) if remote.is_remote(text) else str(Path(text).absolute())


def file_or_folder(path: Any, call: str) -> str:
    """An existing file or folder."""
    if not Path(path).exists():
        raise ArgumentError(f"{call}(): there is no {str(path)!r}.")
    return str(Path(path).absolute())


def resources(given: Any) -> Resources | None:
    """What a step asks of its machine."""
    if given is not None and not isinstance(given, Resources):
        raise ArgumentError(f"resources= takes fp.Resources, got {given!r}.", fix='fp.Resources(memory="16GB", gpu=1)')
    return given


def custom_config(given: Any) -> str | None:
    """A mapping as JSON, which TFX asks for too; None where it is empty."""
    example = 'For example {"layers": 2, "rate": 0.1}.'
    if given is None or given == {}:
        return None
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ArgumentError(f"custom_config= takes a mapping with text as keys, got {given!r}.", fix=example)
    try:
        return json.dumps(dict(given), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"custom_config= must be JSON: {error}.", fix=example) from None


def objective(name: Any) -> str:
    """Name of a metric that a model reports."""
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"objective= takes the name of a metric, got {name!r}.", fix='For example "val_auc".')
    return name


def hyperparameters(path: Any) -> dict[str, Any]:
    """The JSON of KerasTuner's ``HyperParameters.get_config()`` in a file: ``{"space": [..], "values": {..}}``."""
    fix = "Give a best_hyperparameters.txt: the JSON of KerasTuner's HyperParameters.get_config()."
    try:
        config = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ArgumentError(f"These are no hyperparameters: {error}.", where=str(path), fix=fix) from None
    if not isinstance(config, dict) or not isinstance(config.get("values"), dict) or "space" not in config:
        raise ArgumentError('These are no hyperparameters: "space" or "values" is missing.', where=str(path), fix=fix)
    return config


def direction(objective: str, given: Any, *, validated: bool) -> Any:
    """``"min"`` or ``"max"``, as given or as the objective's name tells.

    Parameters
    ----------
    validated
        Whether there is a split to validate on.
    """
    if objective.startswith("val_") and not validated:
        raise ArgumentError(
            f"objective={objective!r} is measured on a validation split, and there is one split alone.",
            fix=f'Split the data, for example splits={{"train": 8, "eval": 2}}, or tune for {objective[4:]!r}.',
        )
    found = one_of(given, ("min", "max", None), "direction") or metrics.direction(objective)
    if found is None:
        raise ArgumentError(
            f"Whether a lower or a higher {objective!r} is better cannot be told from its name.",
            fix='Give direction="min" or direction="max".',
        )
    return found


def algorithm(name: Any, epochs: int) -> Any:
    """How a search chooses what to try next."""
    one_of(name, ("random", "grid", "bayesian", "hyperband"), "algorithm")
    if name == "hyperband" and epochs < 3:
        raise ArgumentError(
            f"hyperband gives promising trials more epochs, and epochs={epochs} leaves none to give.",
            fix="Give epochs=3 or more: the most that a trial gets.",
        )
    return name


def limit(value: Any, name: str) -> float | None:
    """A positive number, or None for no limit."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0):
        raise ArgumentError(f"{name}= takes a positive number or None, got {value!r}.")
    return value


def flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name}= takes True or False, got {value!r}.")
    return value


def endpoint(url: Any) -> str | None:
    """URL of a served model."""
    if url is not None and (not isinstance(url, str) or not url.startswith(("http://", "https://"))):
        raise ArgumentError(
            f"endpoint= takes the URL of a served model, got {url!r}.",
            fix='For example "http://localhost:8501/v1/models/flights".',
        )
    return url.rstrip("/") if url else None
