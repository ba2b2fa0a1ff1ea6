"""TFMA's own evaluator where ours stands: batches are taken apart, and every row goes through TFMA."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import extractor

from fluent_pipe.evaluation.evaluator import _rows, _slicing_specs
from fluent_pipe.evaluation.table import slicings


class _Stock(beam.PTransform):
    def __init__(self, eval_config: tfma.EvalConfig) -> None:
        super().__init__()
        self._config = eval_config

    def expand(self, extracts: beam.PCollection) -> Any:
        rows = extracts | "Rows" >> beam.FlatMap(_rows, slicings(_slicing_specs(self._config)))
        stock = tfma.evaluators.MetricsPlotsAndValidationsEvaluator(self._config)
        return rows | "Stock" >> stock.ptransform


def stock_evaluator(eval_config: tfma.EvalConfig, *, also: Any = None) -> tfma.evaluators.Evaluator:
    """As ``fluent_pipe.evaluation.evaluator.evaluator``, by TFMA alone; it knows no slices found on the way."""
    if also is not None:
        raise ValueError("stock TFMA evaluates slices that are named")
    return tfma.evaluators.Evaluator("Stock", extractor.LAST_EXTRACTOR_STAGE_NAME, _Stock(eval_config))
