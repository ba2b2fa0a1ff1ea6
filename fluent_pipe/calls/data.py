"""Calls about rows: statistics, schema, validation, transform."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fluent_pipe.artifacts import Anomalies, Examples, Schema, Statistics
from fluent_pipe.calls.module_files import user_function
from fluent_pipe.chain import Chain
from fluent_pipe.steps import checks
from fluent_pipe.steps.base import Earlier, pairs
from fluent_pipe.steps.data import CurateSchema, GenerateStatistics, InferSchema, Validate, WithSchema
from fluent_pipe.steps.limits import Distance, slice_columns
from fluent_pipe.steps.model import Preprocess

if TYPE_CHECKING:
    from typing_extensions import Self

Slices = str | Sequence[str | Sequence[str]]


@dataclass(frozen=True, repr=False)
class DataCalls(Chain):
    """Calls between the source and the model."""

    def generate_statistics(
        self, *, slices: Slices = (), sample: float | None = None, options: Mapping[str, Any] | None = None
    ) -> Self:
        """TFDV statistics of every split.

        Parameters
        ----------
        slices
            Columns, or lists of columns to cross, to slice by as well.
        sample
            Share of rows to look at, in (0, 1]. Default: all.
        options
            More arguments for ``tfdv.StatsOptions``.
        """
        return self._then(
            GenerateStatistics(
                id=self._id("generate_statistics"),
                examples=self._ref(Examples, "generate_statistics"),
                split_names=self._splits,
                slices=slice_columns(slices),
                sample=None if sample is None else checks.share(sample, "sample", above_zero=True),
                options=pairs(options),
            )
        )

    def infer_schema(self, *, infer_shape: bool = True, max_domain: int = 100) -> Self:
        """A TFDV schema from the statistics of all splits together.

        It fits the data that it is inferred from, so ``validate`` then finds drift and skew; to hold data against what
        it should be, fix the schema with :meth:`curate_schema` or :meth:`with_schema`.

        Parameters
        ----------
        infer_shape
            Give columns that are never missing a fixed shape.
        max_domain
            Most distinct values of a text column that still gets a domain; other values are then anomalies.
        """
        return self._then(
            InferSchema(
                id=self._id("infer_schema"),
                statistics=self._ref(Statistics, "infer_schema"),
                split=checks.training_split(self._splits),
                infer_shape=infer_shape,
                max_domain=checks.count(max_domain, "max_domain"),
            )
        )

    def with_schema(self, path: str | os.PathLike[str]) -> Self:
        """Take the schema of a ``schema.pbtxt`` file."""
        return self._then(WithSchema(id=self._id("with_schema"), path=checks.file(path, "with_schema")))

    def curate_schema(self, function: Callable[..., Any] | str) -> Self:
        """Let ``function(schema)`` change the schema proto in place, or return another."""
        return self._then(
            CurateSchema(
                id=self._id("curate_schema"),
                schema=self._ref(Schema, "curate_schema"),
                function=user_function(function, "curate_schema", call="curate_schema"),
            )
        )

    def validate(
        self,
        *,
        on_anomaly: Literal["fail", "warn"] = "fail",
        drift: Mapping[str, Distance] | Distance | None = None,
        skew: Mapping[str, Distance] | Distance | None = None,
        against: str | os.PathLike[str] = "latest",
    ) -> Self:
        """Look for TFDV anomalies: statistics against the schema, an earlier run, and each other.

        Parameters
        ----------
        on_anomaly
            ``"fail"`` ends the run before anything is trained; ``"warn"`` says so and goes on.
        drift
            Limits by column on the distance from the statistics of the last run on other data that passed
            validation; one limit alone holds for every column that it suits.
        skew
            Limits by column on the distance between the first split and each of the others.
        against
            ``"latest"``, or the folder of a Statistics artifact to compare with.
        """
        statistics = self._ref(Statistics, "validate")
        return self._then(
            Validate(
                id=self._id("validate"),
                statistics=statistics,
                schema=self._ref(Schema, "validate"),
                split_names=self._splits,
                on_anomaly=checks.one_of(on_anomaly, ("fail", "warn"), "on_anomaly"),
                drift=checks.distances(drift, "drift"),
                skew=checks.distances(skew, "skew"),
                against=Earlier(Statistics, statistics, judged_by=Anomalies)
                if against == "latest"
                else checks.folder(against, "against"),
            )
        )

    def preprocess(
        self, function: Callable[..., Any] | str | None = None, *, label: str | None = None, weight: str | None = None
    ) -> Self:
        """Analyse and transform with TensorFlow Transform.

        Parameters
        ----------
        function
            ``preprocessing_fn(inputs)``, or a module file or ``"module:function"`` that holds it. Default: z-scores for
            numbers, vocabularies for text, ids for small integers, indicators for missing values.
        label, weight
            Transformed features that are the label and the row weight; without a function, columns of the data.
        """
        return self._then(
            Preprocess(
                id=self._id("preprocess"),
                examples=self._ref(Examples, "preprocess"),
                schema=self._ref(Schema, "preprocess"),
                split_names=checks.training_first(self._splits),
                function=None if function is None else user_function(function, "preprocessing_fn", call="preprocess"),
                label=label,
                weight=weight,
            )
        )
