"""All that is known of one published execution: what the metadata store records, and a manifest says."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fluent_pipe.artifacts import Artifact
from fluent_pipe.errors import StoreError
from fluent_pipe.store.records import Property

LAYOUT = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is known of one published execution.

    Parameters
    ----------
    pipeline, run, step, step_type, execution
        Where it belongs.
    key, fingerprint, seconds, properties
        As recorded in the metadata store.
    produces
        Names of the artifact types that it left.
    inputs
        What it read, by the name of the input: ``type``, ``place``, ``step``, ``execution`` and ``fingerprint``.
    files
        Size and hash of its files, by name relative to its folder.
    rows
        Names of those that are read in parts, and not copied with the others.
    published
        When, seconds since 1970.
    layout
        Version of this format.
    """

    pipeline: str
    run: str
    step: str
    step_type: str
    execution: str
    key: str
    fingerprint: str
    seconds: float
    produces: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    properties: Mapping[str, Property] = field(default_factory=dict)
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    rows: tuple[str, ...] = ()
    published: float = field(default_factory=time.time)
    layout: int = LAYOUT

    @property
    def place(self) -> str:
        """The execution's folder relative to the root."""
        return f"{self.pipeline}/{self.step}/{self.execution}"

    def encoded(self) -> bytes:
        """As it is written."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def decoded(cls, content: bytes, *, where: str) -> Manifest:
        """From what :meth:`encoded` wrote.

        Raises
        ------
        StoreError
            If it cannot be read, or a newer version wrote it.
        """
        try:
            values: dict[str, Any] = json.loads(content)
            if values["layout"] > LAYOUT:
                raise StoreError(
                    f"The manifest was written with layout {values['layout']}; this version reads up to {LAYOUT}.",
                    where=where,
                    fix="Upgrade fluent-pipe, or choose another root. Nothing was changed.",
                )
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            fix = "Remove it: its execution then does not exist."
            raise StoreError(f"The manifest cannot be read: {error}.", where=where, fix=fix) from error


def row_names(files: Collection[str], produces: Collection[type[Artifact]]) -> tuple[str, ...]:
    """Those of an execution's files that are read in parts, by the types that it leaves."""
    patterns = {pattern for kind in produces for pattern in kind.fetched_later}
    return tuple(sorted(name for name in files if any(PurePosixPath(name).match(p) for p in patterns)))


def inputs_first(manifests: Mapping[str, Manifest]) -> Iterator[Manifest]:
    """By time, but after their inputs whatever the clocks of machines say."""
    given: set[str] = set()

    def visit(manifest: Manifest) -> Iterator[Manifest]:
        if manifest.place in given:
            return
        given.add(manifest.place)
        for read in manifest.inputs.values():
            if read["place"] in manifests:
                yield from visit(manifests[read["place"]])
        yield manifest

    for manifest in sorted(manifests.values(), key=lambda m: m.published):
        yield from visit(manifest)
