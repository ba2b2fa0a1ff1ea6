"""Sums by slice and bin, in whole batches: the accumulators of all vectorised metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fluent_pipe.arrow.arrays import Floats, Integers


@dataclass(frozen=True)
class Contributions:
    """What the rows of a batch add to a metric.

    Parameters
    ----------
    rows
        Shape [parts]: the row of the batch that a part comes from. A row may give several parts, or none.
    bins
        Shape [parts]: where it is added, 0 or more.
    values
        Shape [parts, fields]: what is added.
    """

    rows: Integers
    bins: Integers
    values: Floats


@dataclass(frozen=True)
class Sums:
    """Totals by bin; bins that nothing was added to are not there.

    Parameters
    ----------
    bins
        Shape [bins], ascending.
    totals
        Shape [bins, samples, fields]: sample 0 counts every row once; the others are bootstrap replicates.
    """

    bins: Integers
    totals: Floats

    @staticmethod
    def merged(parts: Sequence[Sums]) -> Sums:
        """The sums of several, as if they had been one."""
        if len(parts) == 1:
            return parts[0]
        bins, totals = np.concatenate([p.bins for p in parts]), np.concatenate([p.totals for p in parts])
        starts, order = groups(bins)
        return Sums(bins[order][starts], np.add.reduceat(totals[order], starts, axis=0))

    def sample(self, number: int) -> Sums:
        """One sample alone."""
        return Sums(self.bins, self.totals[:, number : number + 1])

    @property
    def fields(self) -> Floats:
        """Totals of the first sample: shape [bins, fields]."""
        return self.totals[:, 0]


def groups(keys: Integers) -> tuple[Integers, Integers]:
    """Where groups of equal keys start in the order that brings them together; and that order."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(keys), 1), bool), ordered[1:] != ordered[:-1]]))
    return starts, order


@dataclass(frozen=True)
class Members:
    """Rows of a batch in slices: row ``rows[i]`` is in slice number ``slots[i]``; sorted by row.

    Parameters
    ----------
    starts, counts
        Shape [rows of the batch]: where a row's entries start, and how many they are.
    """

    slots: Integers
    starts: Integers
    counts: Integers

    @staticmethod
    def of(rows: Integers, slots: Integers, *, total: int) -> Members:
        """Members from pairs of row and slot, in any order, of a batch of ``total`` rows."""
        order = np.argsort(rows, kind="stable")
        counts = np.bincount(rows, minlength=total)
        return Members(slots[order], np.cumsum(counts) - counts, counts)


def summed(parts: Contributions, members: Members, multiplicity: Floats | None) -> dict[int, Sums]:
    """Contributions of a batch, by slot.

    Parameters
    ----------
    multiplicity
        Shape [rows, replicates]: how often a row is in each bootstrap replicate; None for no replicates.
    """
    repeats = members.counts[parts.rows]
    part = np.repeat(np.arange(len(parts.rows)), repeats)
    within = np.arange(len(part)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    slots = members.slots[members.starts[parts.rows[part]] + within]
    if not len(slots):
        return {}
    bins = parts.bins[part]
    # Where slot and bin do not fit one number, bins are renumbered; this takes billions of bins.
    present = None
    if (int(slots.max()) + 1) * (int(bins.max()) + 1) >= 2**62:
        present, bins = np.unique(bins, return_inverse=True)
    width = int(bins.max()) + 1
    keys = slots * width + bins
    starts, order = groups(keys)
    found = keys[order][starts]
    totals = _totals(parts.values[part], parts.rows[part], order, starts, multiplicity)
    slot, bin_ = found // width, found % width
    bin_ = bin_ if present is None else present[bin_]
    cuts = np.flatnonzero(np.concatenate([[True], slot[1:] != slot[:-1]]))
    ends = [*cuts[1:].tolist(), len(slot)]
    return {
        int(slot[low]): Sums(bin_[low:high], totals[low:high]) for low, high in zip(cuts.tolist(), ends, strict=True)
    }


def _totals(values: Floats, rows: Integers, order: Integers, starts: Integers, multiplicity: Floats | None) -> Floats:
    ordered = values[order]
    every = np.add.reduceat(ordered, starts, axis=0)[:, None, :]
    if multiplicity is None:
        return every
    times = multiplicity[rows[order]]
    fields = []
    for field in range(values.shape[1]):
        column = ordered[:, field : field + 1]
        # A row that is not in a replicate adds nothing, even where its value is infinite.
        product = column * times if np.isfinite(column).all() else np.where(times == 0, 0.0, column * times)
        fields.append(np.add.reduceat(product, starts, axis=0))
    return np.concatenate([every, np.stack(fields, axis=-1)], axis=1)
