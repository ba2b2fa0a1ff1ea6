"""Commands that take ``--runner NAME`` and, with it, flags that are the runner's."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from fluent_pipe.errors import ArgumentError

SURELY_MEANT = 0.8  # likeness from which a flag is a mistyped one of the command, not one of the runner's

RunnerName = Annotated[
    str | None,
    typer.Option(
        "--runner",
        metavar="NAME",
        help="Where Beam jobs run: direct, flink, spark, dataflow or portable. Its own flags, and Beam's, follow: "
        "FILE --runner flink --parallelism 8. Default: FLUENT_PIPE_RUNNER, else direct.",
    ),
]


class RunnerCommand(TyperCommand):
    """A command with ``--runner``: flags that it does not know become part of that option's text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        takes_value = {
            flag: not getattr(p, "is_flag", True)
            for p in self.get_params(ctx)
            for flag in (*p.opts, *p.secondary_opts)
            if flag.startswith("--")
        }
        own, further = divide(args, takes_value)
        rest: list[str] = super().parse_args(ctx, own)
        if further:
            _refuse_mistyped(further, ctx.params["runner"], takes_value)
            ctx.params["runner"] += f" {shlex.join(further)}"
        return rest


def divide(words: Sequence[str], takes_value: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """The words of a command, and the flags that it does not know with their values.

    A word after such a flag is its value, if it is no flag itself.

    Parameters
    ----------
    takes_value
        The flags that the command knows, and whether the next word is their value.

    Examples
    --------
    >>> divide(["--parallelism", "8", "flights.py", "--root", "out"], {"--root": True})
    (['flights.py', '--root', 'out'], ['--parallelism', '8'])
    """
    own: list[str] = []
    further: list[str] = []
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "--":
            return [*own, word, *reversed(rest)], further
        if not word.startswith("--"):
            own.append(word)
            continue
        flag, equals, _ = word.partition("=")
        target = own if flag in takes_value else further
        target.append(word)
        if rest and not equals and takes_value.get(flag, not rest[-1].startswith("--")):
            target.append(rest.pop())
    return own, further


def _refuse_mistyped(further: Sequence[str], runner: str | None, known: Mapping[str, bool]) -> None:
    for flag in (word.partition("=")[0] for word in further if word.startswith("--")):
        mistyped = difflib.get_close_matches(flag, known, n=1, cutoff=SURELY_MEANT)
        if runner is None or mistyped:
            fix = None if mistyped else "Flags of a runner need --runner NAME."
            raise ArgumentError(f"The command has no {flag}.", got=flag, valid=sorted(known), fix=fix)
