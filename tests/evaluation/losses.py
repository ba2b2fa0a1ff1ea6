"""Losses by slice, summed up as in a run; and the same from the rows, the slow way."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from fluent_pipe.evaluation.discovery import Found, worse
from fluent_pipe.evaluation.loss_sums import LossSums, Sums
from fluent_pipe.evaluation.slices import SliceKey

Columns = dict[str, list[Any]]


def summed(columns: Columns, loss: Any, weight: Any = None, *, depth: int = 2, batches: int = 1) -> Sums:
    """Each batch to an accumulator of its own, and all of them merged."""
    combine = LossSums(depth)
    batch = pa.RecordBatch.from_pydict(columns)
    accumulators = []
    for part in np.array_split(np.arange(len(loss)), batches):
        rows = slice(int(part[0]), int(part[-1]) + 1) if len(part) else slice(0, 0)
        element = (
            batch.slice(rows.start, rows.stop - rows.start),
            loss[rows],
            None if weight is None else weight[rows],
        )
        accumulators.append(combine.add_input(combine.create_accumulator(), element))
    return combine.extract_output(combine.merge_accumulators(accumulators))


def as_found(sums: Sums) -> list[tuple[Any, ...]]:
    found = worse(sums, at_least=2)
    assert found
    return [(f.slice, f.rows, pytest.approx(f.loss), pytest.approx(f.p_value)) for f in found]


def slices_by_hand(columns: Columns, depth: int) -> dict[SliceKey, Any]:
    """Which rows are in which slice."""
    found: dict[SliceKey, Any] = {}
    for size in range(1, depth + 1):
        for names in itertools.combinations(sorted(columns), size):
            rows = list(zip(*(columns[n] for n in names), strict=True))
            for values in set(rows):
                if not any(v is None or v != v for v in values):
                    found[tuple(zip(names, values, strict=True))] = np.array([r == values for r in rows])
    return found


def worse_by_hand(
    columns: Columns, loss: Any, *, depth: int, at_least: int, effect_size: float, confidence: float
) -> list[Found]:
    tested: list[tuple[SliceKey, Found]] = []
    for key, mask in slices_by_hand(columns, depth).items():
        inside, outside = loss[mask], loss[~mask]
        if min(len(inside), len(outside)) < at_least:
            continue
        test = stats.ttest_ind(inside, outside, equal_var=False, alternative="greater")
        interval = stats.ttest_ind(inside, outside, equal_var=False).confidence_interval(confidence)
        difference = inside.mean() - outside.mean()
        effect = math.sqrt(2) * difference / math.sqrt(inside.var(ddof=1) + outside.var(ddof=1))
        parts = (len(inside), inside.mean(), outside.mean(), difference, tuple(interval), effect, test.pvalue)
        tested.append((key, Found(dict(key), *parts, p_adjusted=0.0)))
    if not tested:
        return []
    adjusted = stats.false_discovery_control([found.p_value for _, found in tested], method="by")
    reported: dict[SliceKey, Found] = {}
    for (key, found), p_adjusted in sorted(zip(tested, adjusted, strict=True), key=lambda t: len(t[0][0])):
        inside_another = any(set(other) <= set(key) for other in reported)
        if p_adjusted <= 1 - confidence and found.effect_size >= effect_size and not inside_another:
            reported[key] = Found(**{**vars(found), "p_adjusted": p_adjusted})
    return sorted(reported.values(), key=lambda found: -found.interval[0])


def planted(rows: int = 4000, seed: int = 0) -> tuple[Columns, Any]:
    """Losses that are worse in one month, and for one carrier from one airport."""
    random = np.random.default_rng(seed)
    carrier, origin = random.choice(["AA", "UA", "B6"], rows), random.choice(["EWR", "JFK", "LGA"], rows)
    month = random.integers(1, 7, rows)
    loss = random.exponential(0.5, rows)
    loss += (month == 6) * random.exponential(1.0, rows)
    loss += ((carrier == "B6") & (origin == "LGA")) * random.exponential(1.0, rows)
    return {"origin": origin.tolist(), "carrier": carrier.tolist(), "month": month.tolist()}, loss
