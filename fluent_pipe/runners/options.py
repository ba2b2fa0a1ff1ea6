"""Beam's own options, checked: Beam itself keeps an unknown name, and a wrong value ends the process."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fluent_pipe.errors import ArgumentError

if TYPE_CHECKING:
    import argparse

IN_WORDS: Mapping[Any, str] = {int: "an integer", float: "a number", json.loads: "JSON"}


@dataclass(frozen=True)
class _Option:
    """One name of an option of Beam's: that of its value, or of one of its flags."""

    action: argparse.Action
    parser: argparse.ArgumentParser
    switches_off: bool = False  # --no_use_public_ips

    @property
    def is_switch(self) -> bool:
        return self.action.nargs == 0


def beam_options(
    options: Mapping[str, object],
    *,
    where: str,
    also: Collection[str] = (),
    ours: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, object]:
    """Options as ``PipelineOptions(flags=[], **options)`` takes them, each known to the installed Beam.

    Parameters
    ----------
    options
        Values by name: the name of the option or of its flag, ``-`` and ``_`` being one. A text is read as on the
        command line; None or an empty list leaves Beam's default.
    where
        Names the call in errors, such as ``"Flink(options=)"``.
    also
        Names beyond those of the Python SDK, such as a job server describes; their values are taken as they are.
    ours
        Options that a runner sets itself, and the argument of its own to give instead; empty where there is none.

    Raises
    ------
    ArgumentError
        If Beam has no such option, the runner sets it, it is given twice, or its value is not valid.
    """
    known = _known()
    checked: dict[str, object] = {}
    for given, value in options.items():
        name = given.replace("-", "_")
        option = known.get(name)
        target = option.action.dest if option else name
        if option is None and name not in also:
            _refuse_unknown(given, where, {*known, *also} - set(ours), set(ours.values()) - {""})
        if name in ours or target in ours:
            field = ours.get(name) or ours.get(target)
            fix = f"Give the runner's own {field!r} instead." if field else "Leave it out."
            raise ArgumentError(f"Beam's option {given!r} is set by the runner.", where=where, fix=fix)
        if target in checked:
            raise ArgumentError(f"Beam's option {target!r} is given twice.", where=where)
        if value not in (None, (), []):
            checked[target] = value if option is None else _value(given, option, value, where)
    return checked


def _known() -> dict[str, _Option]:
    """Every option of the loaded subclasses of ``PipelineOptions``, those of users too, by each of its names."""
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    class Parser(_BeamArgumentParser):
        def error(self, message: str) -> None:
            raise ValueError(message)  # argparse's own ends the process

    known: dict[str, _Option] = {}
    for kind in _subclasses(PipelineOptions):
        parser = Parser(add_help=False, allow_abbrev=False)  # one each: two classes may define the same flag
        if "_add_argparse_args" in vars(kind):
            kind._add_argparse_args(parser)  # noqa: SLF001 - what Beam has subclasses override
        for action in parser._actions:  # noqa: SLF001 - argparse has no public list
            action.required = False
            flags = [flag.lstrip("-").replace("-", "_") for flag in action.option_strings]
            off = action.nargs == 0 and action.const is False
            known |= {flag: _Option(action, parser, off and flag != action.dest) for flag in flags}
            if flags:
                known.setdefault(action.dest, _Option(action, parser))
    return known


def _subclasses(kind: Any) -> Iterator[Any]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)


def _refuse_unknown(given: str, where: str, valid: set[str], fields: set[str]) -> None:
    if (name := given.replace("-", "_")) in fields:
        raise ArgumentError(
            f"{name!r} is no option of Beam's.", where=where, fix=f"Give it as the runner's own {name!r}."
        )
    raise ArgumentError(
        f"Beam has no option {given!r}.", where=where, got=given, valid=sorted(valid | fields), listed=False
    )


def _value(given: str, option: _Option, value: object, where: str) -> object:
    try:
        return _switched(option, value) if option.is_switch else _read(option, value)
    except Exception:  # a type of argparse's is any function
        action = option.action
        takes = "true or false" if option.is_switch else IN_WORDS.get(action.type, "")
        fact = f"takes {takes}, got {value!r}" if takes else f"does not take {value!r}"
        choices = action.choices or ()
        raise ArgumentError(f"Beam's option {given!r} {fact}.", where=where, got=value, valid=choices) from None


def _switched(option: _Option, value: object) -> bool:
    on = {"true": True, "false": False}[str(value).lower()]
    return on != option.switches_off


def _read(option: _Option, value: object) -> object:
    """What argparse makes of the value, given as often as it has items."""
    import argparse

    action = option.action
    if isinstance(value, bool) and action.type is None and not action.choices:
        return value
    texts = _texts(value, pairs=action.type is None)
    # None for what is not given yet, so that items are not appended to Beam's defaults.
    before = argparse.Namespace(**{action.dest: None})
    flag = action.option_strings[0]
    read: object = getattr(option.parser.parse_args([f"{flag}={text}" for text in texts], before), action.dest)
    if isinstance(value, Sequence) and not isinstance(value, str) and not isinstance(read, list):
        raise TypeError(value)
    return read


def _texts(value: object, *, pairs: bool) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()] if pairs else [json.dumps(dict(value))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [text for item in value for text in _texts(item, pairs=pairs)]
    if isinstance(value, (str, int, float, os.PathLike)):
        return [os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    raise TypeError(value)
