"""The fluent value that the user holds: every call checks its arguments, appends a step and returns a new pipeline."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fluent_pipe.artifacts import (
    Anomalies,
    Examples,
    Model,
    ModelBlessing,
    Schema,
    Statistics,
    TransformGraph,
)
from fluent_pipe.chain import LOADING, Chain
from fluent_pipe.errors import ArgumentError, OrderError
from fluent_pipe.steps import checks
from fluent_pipe.steps.base import Earlier, Ref, pairs
from fluent_pipe.steps.data import CurateSchema, GenerateStatistics, InferSchema, Validate, WithSchema
from fluent_pipe.steps.functions import UserFunction
from fluent_pipe.steps.limits import Distance, Limit, slice_columns
from fluent_pipe.steps.model import Evaluate, Preprocess, PushTo, Train
from fluent_pipe.steps.sources import NULL_VALUES, FromCsv, FromMemory, FromParquet, InMemory

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import tensorflow_model_analysis as tfma

    from fluent_pipe.plan import Plan
    from fluent_pipe.run import Run
    from fluent_pipe.runners.base import Runner

Slices = str | Sequence[str | Sequence[str]]
Patterns = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
DEFAULT_SPLITS: Mapping[str, float] = {"train": 8, "eval": 2}


@dataclass(frozen=True, repr=False)
class Pipeline(Chain):
    """A named chain of steps. Immutable: each call returns a new one, so prefixes can be shared and branched.

    Parameters
    ----------
    name
        Letters, digits, ``.``, ``_`` and ``-``; names the pipeline's folder under ``root``.
    root
        Folder of all results. Default: the environment's ``FLUENT_PIPE_ROOT``, else ``.fluent_pipe``.
    metadata
        URL of the metadata store (``mysql://``, ``postgresql://``, ``sqlite:///``). Default: SQLite under ``root``.

    Examples
    --------
    >>> import fluent_pipe as fp
    >>> data = fp.Pipeline("flights").from_csv("flights.csv").generate_statistics()
    >>> data.infer_schema()
    Pipeline('flights'): from_csv -> generate_statistics -> infer_schema
    >>> data.preprocess(label="late")
    Traceback (most recent call last):
    fluent_pipe.errors.OrderError: preprocess() needs a schema. This pipeline so far: from_csv, generate_statistics. \
Call infer_schema() first.
    """

    # Sources

    def from_csv(
        self,
        uri: Patterns | Mapping[str, Patterns],
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        delimiter: str = ",",
        column_names: Sequence[str] | None = None,
        null_values: Sequence[str] = NULL_VALUES,
        types: Mapping[str, str] | None = None,
        quote: str = '"',
        escape: str | None = None,
        encoding: str = "utf-8",
        max_rejected: float = 0.001,
    ) -> Pipeline:
        """Read CSV files: plain, ``.gz`` or ``.zip``.

        Types are decided for the whole input: integers, floats, else text (dates too, unless asked otherwise).

        Parameters
        ----------
        uri
            A path, a glob or a list of them; or one of these per split: ``{"train": "a/*.csv", "eval": "b/*.csv"}``.
        splits
            Split names and shares. Default ``{"train": 8, "eval": 2}``. A row's split depends on its content alone.
        partition_by
            Column that decides the split, so that rows with one value stay together. Default: the whole row.
        delimiter, quote, escape
            Single characters. ``escape=None``: a doubled quote stands for a quote.
        column_names
            Names in order, for files without a header line.
        null_values
            Texts that mean "missing".
        types
            Types by column over the inferred ones: ``"int"``, ``"float"``, ``"string"``, ``"bool"``, ``"date"``,
            ``"timestamp"``. A row whose value does not fit is rejected.
        encoding
            Of the files.
        max_rejected
            Share of rows that may fail to parse, in [0, 1]; above it the run fails. Rejected rows are kept aside
            with file, line and reason.

        Raises
        ------
        ArgumentError
            If an argument is not valid. Problems of the files are :class:`~fluent_pipe.errors.InputError` at the run.
        """
        return self._source(
            FromCsv(
                id=self._id("from_csv"),
                patterns=checks.patterns(uri, "from_csv"),
                splits=checks.splits(splits, uri, DEFAULT_SPLITS),
                partition_by=partition_by,
                max_rejected=checks.share(max_rejected, "max_rejected"),
                **checks.dialect(delimiter, quote, escape),
                column_names=None if column_names is None else checks.names(column_names, "column_names"),
                null_values=checks.names(null_values, "null_values"),
                types=checks.column_types(types),
                encoding=checks.encoding(encoding),
            )
        )

    def from_parquet(
        self,
        uri: Patterns | Mapping[str, Patterns],
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Pipeline:
        """Read Parquet files.

        Parameters
        ----------
        uri, splits, partition_by
            As for :meth:`from_csv`.
        columns
            Columns to read. Default: all.
        """
        return self._source(
            FromParquet(
                id=self._id("from_parquet"),
                patterns=checks.patterns(uri, "from_parquet"),
                splits=checks.splits(splits, uri, DEFAULT_SPLITS),
                partition_by=partition_by,
                columns=None if columns is None else checks.names(columns, "columns"),
            )
        )

    def from_pandas(
        self, frame: pd.DataFrame, *, splits: Mapping[str, float] | None = None, partition_by: str | None = None
    ) -> Pipeline:
        """Take the rows of a DataFrame; its index is left out.

        Parameters
        ----------
        frame
            Any number of rows; columns of numbers, text, dates or lists.
        splits, partition_by
            As for :meth:`from_csv`.
        """
        return self._memory(frame, "from_pandas", "DataFrame", splits, partition_by)

    def from_arrow(
        self,
        table: pa.Table | pa.RecordBatch,
        *,
        splits: Mapping[str, float] | None = None,
        partition_by: str | None = None,
    ) -> Pipeline:
        """Take the rows of an Arrow table or record batch.

        Parameters
        ----------
        table
            Flat columns, or lists of flat values.
        splits, partition_by
            As for :meth:`from_csv`.
        """
        return self._memory(table, "from_arrow", ("Table", "RecordBatch"), splits, partition_by)

    # Data

    def generate_statistics(
        self, *, slices: Slices = (), sample: float | None = None, options: Mapping[str, Any] | None = None
    ) -> Pipeline:
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

    def infer_schema(self, *, infer_shape: bool = True, max_domain: int = 100) -> Pipeline:
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

    def with_schema(self, path: str | os.PathLike[str]) -> Pipeline:
        """Take the schema of a ``schema.pbtxt`` file."""
        return self._then(WithSchema(id=self._id("with_schema"), path=checks.file(path, "with_schema")))

    def curate_schema(self, function: Callable[..., Any] | str) -> Pipeline:
        """Let ``function(schema)`` change the schema proto in place, or return another."""
        return self._then(
            CurateSchema(
                id=self._id("curate_schema"),
                schema=self._ref(Schema, "curate_schema"),
                function=UserFunction.of(function, name="curate_schema", call="curate_schema"),
            )
        )

    def validate(
        self,
        *,
        on_anomaly: Literal["fail", "warn"] = "fail",
        drift: Mapping[str, Distance] | Distance | None = None,
        skew: Mapping[str, Distance] | Distance | None = None,
        against: str | os.PathLike[str] = "latest",
    ) -> Pipeline:
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

    # Model

    def preprocess(
        self, function: Callable[..., Any] | str | None = None, *, label: str | None = None, weight: str | None = None
    ) -> Pipeline:
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
                function=None
                if function is None
                else UserFunction.of(function, name="preprocessing_fn", call="preprocess"),
                label=label,
                weight=weight,
            )
        )

    def train(
        self,
        function: Callable[..., Any] | str | None = None,
        *,
        epochs: int = 1,
        steps: int | None = None,
        batch_size: int = 1024,
        early_stopping: int | None = None,
        class_weights: Literal["balanced"] | Mapping[int, float] | None = None,
        seed: int = 0,
    ) -> Pipeline:
        """Train a Keras 3 model and export it with serving signatures.

        Parameters
        ----------
        function
            ``build_model(data, hp)`` that returns a compiled model, or TFX's ``run_fn(fn_args)``; also as a module file
            or ``"module:function"``. Default: a wide and deep model over the transformed features.
        epochs
            Passes over the training split.
        steps
            Batches an epoch. Default: the whole split.
        batch_size
            Rows a batch.
        early_stopping
            Epochs without a better validation loss before training stops and the best weights return. Default: never.
        class_weights
            ``"balanced"``, or weights by class index.
        seed
            Of shuffling and of the model's weights.
        """
        user = None if function is None else UserFunction.of(function, name="build_model", call="train")
        is_run_fn = user is not None and checks.is_run_fn(user)
        return self._then(
            Train(
                id=self._id("train"),
                graph=self._ref(TransformGraph, "train"),
                examples=self._ref(Examples, "train"),
                schema=self._ref(Schema, "train"),
                build_model=None if is_run_fn else user,
                run_fn=replace(user, name="run_fn") if is_run_fn and user else None,
                epochs=checks.count(epochs, "epochs"),
                steps=None if steps is None else checks.count(steps, "steps"),
                batch_size=checks.count(batch_size, "batch_size"),
                early_stopping=None if early_stopping is None else checks.count(early_stopping, "early_stopping"),
                class_weights=checks.class_weights(class_weights),
                seed=seed,
                train_split=checks.training_split(self._splits),
                validation_split=checks.validation_split(self._splits),
            )
        )

    def evaluate(
        self,
        *,
        metrics: Sequence[str] = (),
        slices: Slices | int = (),
        require: Mapping[str, Limit | Sequence[Limit]] | None = None,
        baseline: str | os.PathLike[str] | None = "latest_blessed",
        confidence_intervals: bool = False,
        config: tfma.EvalConfig | str | os.PathLike[str] | None = None,
    ) -> Pipeline:
        """Evaluate with TFMA, overall and by slice, and bless the model if every requirement holds.

        Parameters
        ----------
        metrics
            Names of TFMA or Keras metrics. Default: by the kind of label.
        slices
            Columns, or lists of columns to cross: ``["carrier", ["origin", "month"]]``. ``"auto"`` looks for the
            slices of one or two columns where the model is significantly worse than elsewhere; a number looks for
            slices of at most so many columns.
        require
            Limits by metric: ``{"auc": fp.at_least(0.65)}``, or a list of limits. Default: nothing is required.
        baseline
            ``"latest_blessed"``, the folder of a Model artifact to compare with, or None for no comparison.
        confidence_intervals
            Whether metrics get 95 % intervals, by Poisson bootstrap in the same pass.
        config
            A ``tfma.EvalConfig``, or a file of one as text, for what the other arguments cannot say: metrics with
            settings, binarization and averages over classes, thresholds of TFMA's own. Its metrics, slices and
            options come beside those asked for here; its models are left aside.
        """
        model = self._ref(Model, "evaluate")
        depth = checks.slice_depth(slices)
        return self._then(
            Evaluate(
                id=self._id("evaluate"),
                model=model,
                graph=self._ref(TransformGraph, "evaluate"),
                examples=self._ref(Examples, "evaluate"),
                schema=self._ref(Schema, "evaluate"),
                metrics=checks.metric_names(metrics, "metrics"),
                slices=() if depth else slice_columns(slices),  # type: ignore[arg-type]
                depth=depth,
                require=checks.requirements(require),
                baseline=self._baseline(baseline, model),
                confidence_intervals=confidence_intervals,
                config=checks.eval_config(config),
                split=checks.evaluation_split(self._splits),
            )
        )

    def push_to(self, destination: str | os.PathLike[str], *, keep: int | None = None) -> Pipeline:
        """Push the model, if it is blessed, as a new version folder that appears whole or not at all.

        Parameters
        ----------
        destination
            Folder of the versions; a serving process watches it.
        keep
            Newest versions to keep. Default: all.
        """
        return self._then(
            PushTo(
                id=self._id("push_to"),
                model=self._ref(Model, "push_to"),
                blessing=self._newest(ModelBlessing),
                destination=str(Path(destination).absolute()),
                keep=None if keep is None else checks.count(keep, "keep"),
            )
        )

    # Switches

    def cache(self, enabled: bool) -> Pipeline:  # noqa: FBT001 - reads as a switch: .train(...).cache(False)
        """Switch the cache of the step just before on or off.

        Examples
        --------
        >>> Pipeline("p").from_csv("a.csv").cache(False).steps[-1].cached
        False
        """
        if not self.steps:
            raise OrderError("cache() switches the step before it. This pipeline has no step yet.")
        return replace(self, steps=(*self.steps[:-1], replace(self.steps[-1], cached=enabled)))

    def with_metadata(self, url: str) -> Pipeline:
        """Record in another ML Metadata store: ``mysql://``, ``postgresql://`` or ``sqlite:///``."""
        return replace(self, metadata=url)

    # Execution

    def plan(self) -> Plan:
        """The steps in order with their cache state, and the Beam jobs that they form. Runs nothing."""
        from fluent_pipe.run import plan

        return plan(self)

    def explain(self) -> None:
        """Print :meth:`plan`."""
        print(self.plan())

    def run(
        self,
        runner: Runner | None = None,
        *,
        refresh: str | Sequence[str] = (),
        progress: bool = True,
    ) -> Run:
        """Run what is not cached.

        Parameters
        ----------
        runner
            Where the Beam jobs run. Default: in this process.
        refresh
            Ids of steps to run although they are cached.
        progress
            Show progress on the terminal.

        Returns
        -------
        Run
            Results, timings and verdicts. A model that is not blessed is not pushed; that is no error:
            ``run.state`` is then ``"not pushed"``.

        Raises
        ------
        FluentPipeError
            What went wrong, where, and what to do. Finished steps stay cached.
        Interrupted
            After Ctrl-C; a ``KeyboardInterrupt`` too.
        """
        from fluent_pipe.run import run

        if LOADING.get():
            raise ArgumentError(
                "This file runs its pipeline while it is loaded.",
                fix='Take .run() out, or put it under `if __name__ == "__main__":`.',
            )
        names = (refresh,) if isinstance(refresh, str) else tuple(refresh)
        for name in names:
            if name not in (ids := [s.id for s in self.steps]):
                raise ArgumentError(f"refresh= names no step {name!r}.", got=name, valid=ids)
        return run(self, runner=runner, refresh=frozenset(names), show_progress=progress)

    # How it draws itself

    def _repr_html_(self) -> str:
        from fluent_pipe.display.plan import pipeline_html

        return pipeline_html(self)

    # How a call becomes a step

    def _memory(
        self,
        rows: Any,
        call: str,
        wanted: str | tuple[str, ...],
        splits: Mapping[str, float] | None,
        partition_by: str | None,
    ) -> Pipeline:
        if type(rows).__name__ not in ((wanted,) if isinstance(wanted, str) else wanted):
            raise ArgumentError(
                f"{call}() got a {type(rows).__name__}.", valid=[wanted] if isinstance(wanted, str) else wanted
            )
        return self._source(
            FromMemory(
                id=self._id(call),
                data=InMemory(rows),
                kind=call,
                splits=checks.splits(splits, "", DEFAULT_SPLITS),
                partition_by=partition_by,
            )
        )

    @staticmethod
    def _baseline(asked: str | os.PathLike[str] | None, model: Ref[Model]) -> Earlier[Model] | str | None:
        if asked == "latest_blessed":
            return Earlier(Model, model, judged_by=ModelBlessing)
        return None if asked is None else checks.folder(asked, "baseline")
