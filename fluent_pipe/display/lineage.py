"""What something was made from, or what was made of it: as a graph from left to right, and as a tree of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fluent_pipe.display.cards import Card, draw_cards, wrapped
from fluent_pipe.display.charts import Chart
from fluent_pipe.display.colours import BAD, GOOD, INK
from fluent_pipe.display.graph import in_layers
from fluent_pipe.display.markup import clean
from fluent_pipe.display.plan import in_seconds
from fluent_pipe.display.text import counted

FILES = 4
"""Patterns of one execution that are drawn."""


@dataclass(frozen=True)
class SourceFiles:
    """Files from outside that were read.

    Parameters
    ----------
    pattern
        A path, a glob or a URL.
    files, bytes
        How many there were when they were read, and their size; None where it is not known.
    """

    pattern: str
    files: int | None = None
    bytes: int | None = None

    @property
    def words(self) -> str:
        """How many and how large."""
        known = (counted(self.files, "file") if self.files is not None else "", in_bytes(self.bytes))
        return ", ".join(filter(None, known))


@dataclass(frozen=True, kw_only=True)
class Made:
    """One execution in a lineage.

    Parameters
    ----------
    id
        ``<pipeline>/<step>/<execution>``.
    step, pipeline, run, key
        Where it belongs; the key is that of the cache.
    published
        When; None where it was made outside this store.
    seconds
        How long it took.
    leaves
        Types of its artifacts.
    summary
        A few words on what it left.
    reads
        Ids of the executions that it read from, and the types of the artifacts.
    sources
        Files from outside that it read.
    exists
        Whether its folder is still there.
    """

    id: str
    step: str
    pipeline: str = ""
    run: str = ""
    key: str = ""
    published: datetime | None = None
    seconds: float | None = None
    leaves: tuple[str, ...] = ()
    summary: str = ""
    reads: tuple[tuple[str, str], ...] = ()
    sources: tuple[SourceFiles, ...] = ()
    exists: bool = True


def draw_lineage(made: Sequence[Made], of: str, *, name: str, width: float = 900) -> Chart:
    """Executions as boxes in the order of what they read; files from outside at the left.

    Parameters
    ----------
    of
        Id of the one that was asked about.
    name
        What it shows, in words.
    width
        Rows wrap so that the chart is no wider, if it can be.
    """
    cards = [*_files(made), *(_card(m, asked=m.id == of) for m in made)]
    columns = in_layers({card.id: [source for source, _ in card.reads] for card in cards})
    return draw_cards(cards, columns, width=width, name=name)


def _files(made: Sequence[Made]) -> Iterator[Card]:
    for pattern, source in {s.pattern: s for m in made for s in m.sources[:FILES]}.items():
        folder, _, file = pattern.rstrip("/").rpartition("/")
        yield Card(
            id=f"files {pattern}",
            title=file or pattern,
            lines=((folder, ""), (source.words, "")),
            leaves=("files",),
            faint=True,
            hint=f"{pattern}\n{source.words}",
        )


def _card(made: Made, *, asked: bool) -> Card:
    when = f"{made.published:%Y-%m-%d %H:%M}" if made.published else ""
    lines = [*wrapped(made.summary), (when, in_seconds(made.seconds) if made.seconds is not None else "")]
    if not made.exists:
        lines.append(("its folder is gone", ""))
    more = len(made.sources) - FILES
    if more > 0:
        lines.append((f"and {more:,} more patterns of files", ""))
    read = [(f"files {s.pattern}", "files") for s in made.sources[:FILES]]
    return Card(
        id=made.id,
        title=made.step,
        mark="◆" if asked else "" if made.exists else "✗",
        colour=GOOD if made.exists else BAD,
        lines=tuple(lines),
        leaves=made.leaves,
        reads=(*read, *made.reads),
        border=GOOD if asked else INK,
        faint=not made.exists,
        hint="\n".join(filter(None, (made.id, made.run and f"run {made.run}", made.key and f"key {made.key}"))),
    )


def lineage_text(made: Sequence[Made], of: str, *, forward: bool = False) -> str:
    """A tree, from the one that was asked about; what stands further up already is not told twice.

    Parameters
    ----------
    forward
        Whether the branches are what was made of it, not what it was made from.
    """
    by_id = {m.id: m for m in made}
    branches: dict[str, list[str]] = {m.id: [] for m in made}
    for m in made:
        for source in dict.fromkeys(s for s, _ in m.reads if s in by_id):
            branches[source if forward else m.id].append(m.id if forward else source)
    told: set[str] = set()
    return "\n".join(_tree(of, "", "", by_id, branches, told, forward=forward)) if of in by_id else "(nothing)"


def _tree(
    node: str,
    first: str,
    rest: str,
    by_id: Mapping[str, Made],
    branches: Mapping[str, Sequence[str]],
    told: set[str],
    *,
    forward: bool,
) -> Iterator[str]:
    stack: list[tuple[str | SourceFiles, str, str]] = [(node, first, rest)]
    while stack:
        at, first, rest = stack.pop()
        if isinstance(at, SourceFiles):
            yield first + _one_line(f"{at.pattern}  {f'({at.words})' if at.words else ''}")
            continue
        made = by_id[at]
        again = at in told
        told.add(at)
        words = [made.step, " + ".join(made.leaves), made.summary, made.id.rpartition("/")[2]]
        if not made.exists:
            words.append("(gone)")
        yield first + _one_line("  ".join(filter(None, [f"{made.step} (above)"] if again else words)))
        below: list[str | SourceFiles] = [] if again else [*branches[at], *(() if forward else made.sources)]
        for number, branch in reversed(list(enumerate(below, 1))):
            last = number == len(below)
            stack.append((branch, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")))


def _one_line(text: str) -> str:
    return clean(" ".join(text.split("\n"))).rstrip()


def in_bytes(size: int | None) -> str:
    """A size in few characters; empty for None.

    Examples
    --------
    >>> [in_bytes(n) for n in (12, 4_321, 81_234_567, None)]
    ['12 bytes', '4.3 kB', '81.2 MB', '']
    """
    if size is None:
        return ""
    for most, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= most:
            return f"{size / most:,.1f} {unit}"
    return counted(size, "byte")
