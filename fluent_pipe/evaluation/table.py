"""The accumulators of an evaluation: all metrics of all slices of some batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

from fluent_pipe.arrow.arrays import Floats
from fluent_pipe.evaluation.bootstrap import multiplicity
from fluent_pipe.evaluation.row_metrics import RowMetrics
from fluent_pipe.evaluation.slices import SliceKey, Slicing
from fluent_pipe.evaluation.summed_metrics import Batch, SummedMetric
from fluent_pipe.evaluation.sums import Members, Sums, summed


@dataclass(frozen=True)
class Metrics:
    """What an evaluation accumulates; pickles.

    Parameters
    ----------
    slicing
        Which slices there are.
    summed
        Metrics in whole batches.
    by_row
        Metrics that stay with TFMA.
    replicates
        Bootstrap replicates beside the sample itself.
    overall
        Metrics in whole batches of the overall slice alone, without replicates.
    """

    slicing: tuple[Slicing, ...]
    summed: tuple[SummedMetric, ...]
    by_row: RowMetrics
    replicates: int = 0
    overall: tuple[SummedMetric, ...] = ()

    @property
    def in_batches(self) -> tuple[SummedMetric, ...]:
        """All that has sums; those of the overall slice come last."""
        return (*self.summed, *self.overall)

    def setup(self) -> None:
        """Once on a worker, before anything is added or put out."""
        for metric in self.in_batches:
            metric.combiner.setup()
        if self.by_row:
            self.by_row.setup()


@dataclass
class State:
    """One slice.

    Parameters
    ----------
    rows
        How many rows it has.
    sums
        By number of the metric in :attr:`Metrics.in_batches`; None where nothing was added.
    by_row
        TFMA's accumulators: of the sample itself, then of each replicate. Empty without such metrics.
    """

    rows: int
    sums: list[Sums | None]
    by_row: list[Any]

    @staticmethod
    def merged(states: Iterable[State], metrics: Metrics) -> State:
        """States of the same slice as one."""
        every = [state for state in states if state.rows]
        if not every:
            return State(0, [None] * len(metrics.in_batches), [])
        sums = [[s.sums[i] for s in every] for i in range(len(metrics.in_batches))]
        return State(
            rows=sum(s.rows for s in every),
            sums=[Sums.merged(there) if (there := [p for p in parts if p is not None]) else None for parts in sums],
            by_row=[metrics.by_row.merged(list(sample)) for sample in zip(*(s.by_row for s in every), strict=True)],
        )

    def outputs(self, metrics: Metrics, *, overall: bool) -> list[dict[metric_types.MetricKey, Any]]:
        """TFMA's results: of the sample itself, then of each replicate.

        Parameters
        ----------
        overall
            Whether this is the overall slice: the sample itself then has the metrics that are for it alone.
        """
        samples = [self._output(metrics, sample) for sample in range(1 + metrics.replicates)]
        if overall:
            for metric, sums in zip(metrics.overall, self.sums[len(metrics.summed) :], strict=True):
                samples[0] |= metric.output(metric.nothing() if sums is None else sums)
        return samples

    def _output(self, metrics: Metrics, sample: int) -> dict[metric_types.MetricKey, Any]:
        found: dict[metric_types.MetricKey, Any] = {}
        for metric, sums in zip(metrics.summed, self.sums, strict=False):
            found |= metric.output(metric.nothing() if sums is None else sums.sample(sample))
        return found | (metrics.by_row.output(self.by_row[sample]) if self.by_row else {})


COMPACT_EVERY = 16
"""Batches whose sums are kept side by side before they are merged."""


class Table:
    """Accumulates batches; grows with slices and bins, not with rows.

    Parameters
    ----------
    metrics
        What to accumulate; set up.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._slots: dict[SliceKey, int] = {}
        self._rows: list[int] = []
        self._sums: list[list[list[Sums]]] = []
        self._by_row: list[list[Any]] = []

    def add(self, extracts: Mapping[str, Any], also: Sequence[Slicing] = ()) -> None:
        """One batch more.

        Parameters
        ----------
        extracts
            TFMA's, in a batch: the record batch to slice by, labels, predictions and weights.
        also
            Slices beside those of the metrics.
        """
        record_batch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
        if not record_batch.num_rows:
            return
        members = self._members(record_batch, (*self._metrics.slicing, *also))
        batch = Batch(extracts, record_batch.num_rows)
        times = multiplicity(extracts, record_batch.num_rows, replicates=self._metrics.replicates)
        for number, metric in enumerate(self._metrics.summed):
            for slot, sums in summed(metric.contributions(batch), members, times).items():
                self._keep(self._sums[slot][number], sums)
        self._add_overall(batch)
        for slot, count in enumerate(np.bincount(members.slots).tolist()):
            self._rows[slot] += count
        if self._metrics.by_row:
            self._add_rows(extracts, members, times)

    def states(self) -> Iterable[tuple[SliceKey, State]]:
        """Every slice seen, with what was accumulated."""
        for key, slot in self._slots.items():
            sums = [Sums.merged(parts) if parts else None for parts in self._sums[slot]]
            by_row = [self._metrics.by_row.compact(a) for a in self._by_row[slot]]
            yield key, State(self._rows[slot], sums, by_row)

    def _members(self, record_batch: Any, slicing_specs: Sequence[Slicing]) -> Members:
        rows, slots = [], []
        for slicing in slicing_specs:
            members = slicing.members(record_batch)
            known = np.array([self._slot(key) for key in members.keys], np.int64)
            rows.append(members.rows)
            slots.append(known[members.codes] if len(members.codes) else members.codes)
        every = np.concatenate(rows), np.concatenate(slots)
        overlap = any(slicing.values or slicing.only for slicing in slicing_specs)
        return Members.of(*(_unique(*every) if overlap else every), total=record_batch.num_rows)

    def _slot(self, key: SliceKey) -> int:
        if key not in self._slots:
            self._slots[key] = len(self._slots)
            self._rows.append(0)
            self._sums.append([[] for _ in self._metrics.in_batches])
            samples = 1 + self._metrics.replicates if self._metrics.by_row else 0
            self._by_row.append([self._metrics.by_row.empty() for _ in range(samples)])
        return self._slots[key]

    def _add_overall(self, batch: Batch) -> None:
        slot = self._slots.get(())
        if slot is None:
            return
        rows = np.arange(batch.rows)
        everyone = Members.of(rows, np.full(batch.rows, slot), total=batch.rows)
        for number, metric in enumerate(self._metrics.overall, start=len(self._metrics.summed)):
            for sums in summed(metric.contributions(batch), everyone, None).values():
                self._keep(self._sums[slot][number], sums)

    def _keep(self, parts: list[Sums], sums: Sums) -> None:
        parts.append(sums)
        if len(parts) >= COMPACT_EVERY:
            parts[:] = [Sums.merged(parts)]

    def _add_rows(self, extracts: Mapping[str, Any], members: Members, times: Floats | None) -> None:
        by_row = self._metrics.by_row
        for number, row in enumerate(by_row.rows(extracts)):
            start = members.starts[number]
            for slot in members.slots[start : start + members.counts[number]].tolist():
                samples = self._by_row[slot]
                samples[0] = by_row.add(samples[0], row)
                for replicate in range(self._metrics.replicates):
                    often = 0 if times is None else int(times[number, replicate])
                    samples[1 + replicate] = by_row.add(samples[1 + replicate], row, times=often)


def _unique(rows: Any, slots: Any) -> tuple[Any, Any]:
    """Without repeats: slicings may overlap, and a row counts once in a slice."""
    if not len(rows):
        return rows, slots
    width = int(slots.max()) + 1
    keys = np.unique(rows * width + slots)
    return keys // width, keys % width


def slicings(specs: Sequence[Any]) -> tuple[Slicing, ...]:
    """Slicing specs of TFMA; none means the whole data set."""
    return tuple(Slicing.of(spec) for spec in specs) or (Slicing((), ()),)
