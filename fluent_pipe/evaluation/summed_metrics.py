"""TFMA's metric computations as sums over whole batches.

Every metric of TFMA is an accumulator (a Beam ``CombineFn``, fed one row at a time) and functions on what has been
accumulated. Here the accumulators of the common metrics are filled from whole batches instead: each says what a batch
adds to which bin, and how the totals become TFMA's own accumulator. Everything after that is TFMA's own code, so names
and results are the same. Which of TFMA's combiners are known is told by :mod:`fluent_pipe.evaluation.combiners`; the
others stay with TFMA, row by row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types

from fluent_pipe.evaluation.judgements import Judgements, Pairs, Wanted, judgements, pairs
from fluent_pipe.evaluation.sums import Contributions, Sums


@dataclass
class Batch:
    """One batch of extracts; metrics that read the same share the work."""

    extracts: Mapping[str, Any]
    rows: int
    _found: dict[Any, Any] = field(default_factory=dict)

    def judgements(self, wanted: Wanted) -> Judgements:
        """See :func:`fluent_pipe.evaluation.judgements.judgements`."""
        return self._once(wanted, lambda: judgements(self.extracts, wanted))  # type: ignore[no-any-return]

    def pairs(self, wanted: Wanted, class_weights: Mapping[int, float] | None, *, fractional: bool = False) -> Pairs:
        """See :func:`fluent_pipe.evaluation.judgements.pairs`."""
        key = (wanted, tuple(class_weights.items()) if class_weights else None, fractional)
        return self._once(  # type: ignore[no-any-return]
            key, lambda: pairs(self.judgements(wanted), class_weights=class_weights, fractional=fractional)
        )

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]


@dataclass(frozen=True)
class SummedMetric(ABC):
    """One of TFMA's combiners, filled from whole batches.

    Parameters
    ----------
    combiner
        TFMA's own; it makes the results.
    wanted
        What it reads.
    class_weights
        By class index, for averages over classes.
    """

    combiner: beam.CombineFn
    wanted: Wanted
    class_weights: Mapping[int, float] | None = None

    fields: ClassVar[int] = 1
    """Numbers in a contribution."""

    @abstractmethod
    def contributions(self, batch: Batch) -> Contributions:
        """What a batch adds."""

    @abstractmethod
    def accumulator(self, sums: Sums) -> Any:
        """TFMA's accumulator with these totals."""

    def nothing(self) -> Sums:
        """The sums of no rows."""
        return Sums(np.zeros(0, np.int64), np.zeros((0, 1, self.fields)))

    def output(self, sums: Sums) -> dict[metric_types.MetricKey, Any]:
        """What TFMA makes of these totals."""
        return dict(self.combiner.extract_output(self.accumulator(sums)))


def moments(rows: Any, *columns: Any) -> Contributions:
    """What rows add to the one bin of a metric: a column for each of its fields."""
    values = np.stack(columns, axis=-1).astype(np.float64)
    return Contributions(np.asarray(rows), np.zeros(len(values), np.int64), values)


def totals(sums: Sums) -> list[float]:
    """Totals of a metric that has one bin; 0 where nothing was added."""
    return [float(v) for v in sums.fields.sum(axis=0)]


def filled(accumulator: Any, sums: Sums) -> Any:
    """One of TFMA's accumulators whose fields are sums, in the order that its class names them."""
    for name, total in zip(type(accumulator).__slots__, totals(sums), strict=True):
        setattr(accumulator, name, total)
    return accumulator
