"""From a pushed model back to the files that it was made from, over all runs; and from a file's rows onward."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fluent_pipe.artifacts import Artifact
from fluent_pipe.display.lineage import Made, SourceFiles
from fluent_pipe.results.pipeline import words_of
from fluent_pipe.results.tables import Drawn
from fluent_pipe.store.metadata import MetadataStore, StoredExecution
from fluent_pipe.store.records import relative_to_root

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from fluent_pipe.display.charts import Embed

MOST = 60
"""Executions that one lineage holds unless more are asked for."""


@dataclass(frozen=True, repr=False)
class Lineage(Drawn):
    """What an artifact was made from, or what was made of it.

    Parameters
    ----------
    of
        Id of the execution that left the artifact.
    made
        Executions, each after those that it read from.
    whole
        False where there are more: as many as were asked for are here, the nearest ones.
    forward
        Whether it tells what was made of the artifact.
    """

    of: str
    made: tuple[Made, ...]
    whole: bool = True
    forward: bool = False

    @property
    def sources(self) -> tuple[SourceFiles, ...]:
        """Files from outside that it all began with."""
        return tuple({s.pattern: s for m in self.made for s in m.sources}.values())

    def rows(self) -> list[dict[str, Any]]:
        """One mapping an execution."""
        return [
            {
                "step": m.step,
                "leaves": ", ".join(m.leaves),
                "summary": m.summary,
                "published": f"{m.published:%Y-%m-%d %H:%M:%S}" if m.published else None,
                "seconds": m.seconds,
                "run": m.run,
                "key": m.key,
                "folder": m.id if m.exists else f"{m.id} (gone)",
                "files": ", ".join(s.pattern for s in m.sources),
            }
            for m in self.made
        ]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def drawn(self, embed: Embed) -> Markup:
        from fluent_pipe.display.lineage import draw_lineage
        from fluent_pipe.display.markup import joined, tag
        from fluent_pipe.display.tables import html_table

        said = self._said()
        chart = draw_lineage(self.made, self.of, name=f"{self.of}: {said}")
        details = tag("details", tag("summary", "Runs, keys and folders"), html_table(self.rows(), embed))
        return tag("div", joined(tag("p", tag("b", self.of), f": {said}"), embed(chart), details))

    def __repr__(self) -> str:
        from fluent_pipe.display.lineage import lineage_text

        return f"{self.of}: {self._said()}\n{lineage_text(self.made, self.of, forward=self.forward)}"

    def _said(self) -> str:
        from fluent_pipe.display.text import counted

        count = counted(len(self.made) - 1, "execution")
        if self.forward:
            said = f"read on by {count}"
        else:
            files = [counted(n, "file") for n in [sum(s.files or 0 for s in self.sources)] if n]
            said = f"made from {' and '.join([count, *files])}"
        return said if self.whole else f"{said}; there are more"


def lineage(store: MetadataStore, artifact: Artifact, *, most: int = MOST) -> Lineage:
    """What an artifact was made from: every execution back to the files, whichever run made it.

    Parameters
    ----------
    artifact
        Of any run.
    most
        Executions at most, the nearest first.
    """
    inputs = cache(store.inputs)

    def nearer(node: Artifact) -> Iterable[Artifact]:
        return inputs(node).values()

    return _walked(store, artifact, nearer, inputs, most, forward=False)


def made_of(store: MetadataStore, artifact: Artifact, *, most: int = MOST) -> Lineage:
    """What was made of an artifact, in any run and pipeline; parameters as of :func:`lineage`."""

    def nearer(node: Artifact) -> Iterable[Artifact]:
        own = store.made_by(node)
        left = own.artifacts if own is not None and own.artifacts else (node,)
        return [e.artifacts[0] for a in left for e in store.read_of(a) if e.artifacts]

    return _walked(store, artifact, nearer, store.inputs, most, forward=True)


def _walked(
    store: MetadataStore,
    artifact: Artifact,
    nearer: Callable[[Artifact], Iterable[Artifact]],
    inputs: Callable[[Artifact], Mapping[str, Artifact]],
    most: int,
    *,
    forward: bool,
) -> Lineage:
    """The nearest executions, breadth first: those that are far are the ones left out."""
    first = relative_to_root(artifact.path, store.root)
    met = {first: artifact}
    waiting = deque([first])
    whole = True
    while waiting:
        for found in nearer(met[waiting.popleft()]):
            place = relative_to_root(found.path, store.root)
            if place in met:
                continue
            if len(met) >= most:
                whole = False
                break
            met[place] = found
            waiting.append(place)
    made = {place: _made(store, place, node, inputs(node).values()) for place, node in met.items()}
    return Lineage(first, tuple(_inputs_first(made)), whole, forward)


def _made(store: MetadataStore, place: str, artifact: Artifact, read: Iterable[Artifact]) -> Made:
    stored = store.made_by(artifact)
    reads = {(relative_to_root(a.path, store.root), type(a).__name__): None for a in read}
    if stored is None:  # it comes from outside this store
        return Made(id=place, step=artifact.step or place, leaves=(type(artifact).__name__,), reads=tuple(reads))
    return Made(
        id=place,
        step=stored.step,
        pipeline=place.rpartition(f"/{stored.step}/")[0],
        run=stored.run,
        key=stored.key,
        published=stored.published,
        seconds=stored.seconds,
        leaves=tuple(type(a).__name__ for a in stored.artifacts),
        summary=words_of(stored.artifacts),
        reads=tuple(reads),
        sources=sources_of(stored),
        exists=store.exists(stored),
    )


def _inputs_first(made: dict[str, Made]) -> list[Made]:
    ordered: dict[str, Made] = {}
    stack = list(reversed(made))
    opened: set[str] = set()
    while stack:
        place = stack[-1]
        below = [s for s, _ in made[place].reads if s in made and s not in ordered and s not in opened]
        if below and place not in ordered:
            opened.add(place)
            stack += below
            continue
        ordered.setdefault(place, made[place])
        stack.pop()
    return list(ordered.values())


def sources_of(stored: StoredExecution) -> tuple[SourceFiles, ...]:
    """Files from outside that an execution has read, as far as they were recorded with it."""
    try:
        recorded = json.loads(str(stored.properties.get("sources", "[]")))
        return tuple(SourceFiles(str(pattern), files, size) for pattern, files, size in recorded)
    except (ValueError, TypeError):
        return ()
