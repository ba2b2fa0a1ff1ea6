"""Metrics that stay with TFMA, row by row: what no vectorised form is written for."""

# TFMA's preprocessing and combining of rows are private classes of its evaluator.
# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator as stock
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.utils import util

from fluent_pipe.evaluation.slices import SliceKey


def unbatched(extracts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A batch of extracts as one mapping a row, without the record batch."""
    return util.split_extracts(  # type: ignore[no-any-return]
        {key: value for key, value in extracts.items() if key != tfma.ARROW_RECORD_BATCH_KEY and value is not None}
    )


def with_slice_keys(row: Mapping[str, Any], keys: Sequence[SliceKey]) -> dict[str, Any]:
    """A row's extracts with its slices."""
    return {**row, tfma.SLICE_KEY_TYPES_KEY: slicer_lib.slice_keys_to_numpy_array(list(keys))}


class RowMetrics:
    """TFMA's accumulators of several computations.

    Parameters
    ----------
    computations
        TFMA's; none is fine.
    """

    def __init__(self, computations: Sequence[metric_types.MetricComputation]) -> None:
        self._computations = list(computations)
        self._preprocessor = stock._PreprocessorDoFn(self._computations)
        self._combiner = stock._ComputationsCombineFn(self._computations)

    def __bool__(self) -> bool:
        return bool(self._computations)

    def setup(self) -> None:
        """Once on a worker."""
        self._preprocessor.setup()
        self._preprocessor.start_bundle()
        self._combiner.setup()

    def rows(self, extracts: Mapping[str, Any]) -> list[Any]:
        """What a batch's rows give to the accumulators."""
        return [
            prepared
            for row in unbatched(extracts)
            for prepared in self._preprocessor.process(with_slice_keys(row, [()]))
        ]

    def empty(self) -> Any:
        """An accumulator of nothing."""
        return self._combiner.create_accumulator()

    def add(self, accumulator: Any, row: Any, *, times: int = 1) -> Any:
        """One row more, or the same row ``times`` more."""
        for _ in range(times):
            accumulator = self._combiner.add_input(accumulator, row)
        return accumulator

    def merged(self, accumulators: Iterable[Any]) -> Any:
        """Accumulators as one."""
        return self._combiner.merge_accumulators(accumulators)

    def compact(self, accumulator: Any) -> Any:
        """The accumulator, ready to travel."""
        return self._combiner.compact(accumulator)

    def output(self, accumulator: Any) -> dict[metric_types.MetricKey, Any]:
        """TFMA's results."""
        return dict(self._combiner.extract_output(accumulator))
