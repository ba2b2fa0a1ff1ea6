"""Calls that prove, push and use a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fluent_pipe.artifacts import Approval, Examples, InfraBlessing, Model, ModelBlessing, TransformGraph
from fluent_pipe.calls.sources import SourceCalls
from fluent_pipe.chain import Chain
from fluent_pipe.errors import ArgumentError
from fluent_pipe.steps import checks
from fluent_pipe.steps.delivery import Approve, BulkInfer, InfraValidate, PushTo
from fluent_pipe.steps.resources import Resources
from fluent_pipe.steps.sources import FromBeam, Source

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, repr=False)
class DeliveryCalls(SourceCalls):
    """Calls that prove, push and use a model."""

    def infra_validate(
        self,
        *,
        max_load_seconds: float | None = 5,
        max_latency_ms: float | None = 200,
        max_memory_mb: float | None = None,
        requests: int = 100,
        concurrency: int = 1,
        endpoint: str | None = None,
        resources: Resources | None = None,
    ) -> Self:
        """Prove that the model serves: a fresh process loads it and answers real rows as the trained model does.

        A model that is refused is not pushed; ``run.infra`` says why.

        Parameters
        ----------
        max_load_seconds
            Most seconds for the server to load the model and to answer its warm-up requests; starting Python and
            importing TensorFlow are not counted. None: no limit.
        max_latency_ms
            Most milliseconds of the 95th percentile of requests. None: no limit.
        max_memory_mb
            Most resident memory of the server, in MB (1e6 bytes). None: no limit.
        requests
            Requests of one row each that are timed.
        concurrency
            Requests under way at once.
        endpoint
            URL of a server that runs already, with TensorFlow Serving's REST paths:
            ``"http://localhost:8501/v1/models/flights"``. Default: a process of our own, on loopback. Of a server that
            runs already, neither loading nor memory is measured.
        resources
            What the check asks of its worker.

        Raises
        ------
        ArgumentError
            If an argument is not valid, or a limit on memory is given for an ``endpoint``.
        """
        if endpoint is not None and max_memory_mb is not None:
            raise ArgumentError(
                "infra_validate(max_memory_mb=) cannot be measured of a server that runs already.",
                fix="Leave out max_memory_mb= or endpoint=.",
            )
        return self._then(
            InfraValidate(
                id=self._id("infra_validate"),
                model=self._ref(Model, "infra_validate"),
                examples=self._ref(Examples, "infra_validate"),
                split=checks.evaluation_split(self._splits),
                max_load_seconds=checks.limit(max_load_seconds, "max_load_seconds"),
                max_latency_ms=checks.limit(max_latency_ms, "max_latency_ms"),
                max_memory_mb=checks.limit(max_memory_mb, "max_memory_mb"),
                requests=checks.count(requests, "requests"),
                concurrency=checks.count(concurrency, "concurrency"),
                endpoint=checks.endpoint(endpoint),
                resources=checks.resources(resources),
            )
        )

    def approve(self, *, wait: bool = True) -> Self:
        """Wait for a person, before :meth:`push_to`: ``fluent-pipe approve RUN`` lets the run go on.

        The request outlives the process: after a kill or Ctrl-C, approve first and run again, or run again and approve
        then. The same model with the same verdicts is not asked for again. A model that was refused by
        :meth:`evaluate` or :meth:`infra_validate` is not waited for, and one that a person rejects is not pushed.

        Parameters
        ----------
        wait
            Whether the run waits. With False it ends here while nobody has decided: ``run.state`` is ``"waiting"``, the
            command exits with 4, and the next run after the decision goes on. For CI.
        """
        return self._then(
            Approve(
                id=self._id("approve"),
                model=self._ref(Model, "approve"),
                blessing=self._newest(ModelBlessing),
                infra=self._newest(InfraBlessing),
                wait=checks.flag(wait, "wait"),
            )
        )

    def push_to(self, destination: str | os.PathLike[str], *, keep: int | None = None) -> Self:
        """Push the model, if it is blessed, as a new version folder that appears whole or not at all.

        Parameters
        ----------
        destination
            Folder or URL of the versions; a serving process watches it.
        keep
            Newest versions to keep. Default: all.
        """
        return self._then(
            PushTo(
                id=self._id("push_to"),
                model=self._ref(Model, "push_to"),
                blessing=self._newest(ModelBlessing),
                infra=self._newest(InfraBlessing),
                approval=self._newest(Approval),
                destination=checks.location(destination, "push_to()"),
                keep=None if keep is None else checks.count(keep, "keep"),
            )
        )

    def bulk_infer(
        self,
        rows: Any,
        *,
        to: str | os.PathLike[str],
        format: Literal["parquet", "csv", "jsonl", "tfrecord"] = "parquet",  # noqa: A002 - the word that users know
        keep: Sequence[str] | None = None,
        max_rejected: float | None = None,
    ) -> Self:
        """Predict for many rows, if the model is blessed.

        Column ``prediction`` is the probability of the second class of two, the value of a regression, or the likeliest
        class of several; its ``probability`` and those of all classes, ``probabilities``, then follow. Columns that
        the model reads have the types that it was trained on.

        Parameters
        ----------
        rows
            A path, a glob or a list of them: CSV, Parquet or TFRecord of ``tf.Example`` by their names; a DataFrame or
            an Arrow table; or a Pipeline of one source, for any other argument of it. A label is not needed, and
            other columns are welcome.
        to
            Folder or URL of its own for the predictions; it appears whole, and takes the place of earlier predictions.
            Rows that cannot be read or scored lie there too, under ``rejected/``, each with its reason.
        format
            Of the files: ``"parquet"``, ``"csv"``, ``"jsonl"``, or ``"tfrecord"``: gzipped ``PredictionLog``.
        keep
            Columns that are written beside the predictions. Default: all.
        max_rejected
            Share of rows that may lie aside, in [0, 1]; above it the run fails and nothing is written. Default: that
            of the source, 0.001.

        Raises
        ------
        ArgumentError
            If an argument is not valid. Problems of the rows are :class:`~fluent_pipe.errors.InputError`, of the
            folder :class:`~fluent_pipe.errors.StoreError` at the run, the latter before its first step.
        """
        destination = checks.location(to, "to=")
        if any(isinstance(s, BulkInfer) and s.destination == destination for s in self.steps):
            raise ArgumentError(f"An earlier bulk_infer() writes to {destination}.", fix="Give to= another folder.")
        source = self._rows_to_score(rows)
        if max_rejected is not None:
            source = replace(source, max_rejected=checks.share(max_rejected, "max_rejected"))
        return self._then(
            BulkInfer(
                id=self._id("bulk_infer"),
                model=self._ref(Model, "bulk_infer"),
                blessing=self._newest(ModelBlessing),
                infra=self._newest(InfraBlessing),
                approval=self._newest(Approval),
                examples=self._ref(Examples, "bulk_infer"),
                graph=self._ref(TransformGraph, "bulk_infer"),
                source=source,
                destination=destination,
                format=checks.one_of(format, ("parquet", "csv", "jsonl", "tfrecord"), "format"),
                keep=None if keep is None else checks.names(keep, "keep"),
            )
        )

    def _rows_to_score(self, rows: Any) -> Source:
        if isinstance(rows, Chain):
            if len(rows.steps) != 1 or not isinstance(rows.steps[0], Source):
                raise ArgumentError(f"bulk_infer() takes a Pipeline of one source, got {rows!r}.")
            if isinstance(rows.steps[0], FromBeam):
                raise ArgumentError(
                    "bulk_infer() does not read from_beam().", fix="Write its rows as Parquet, and give the files."
                )
            return rows.steps[0]
        begun = type(self)(self.name)
        kind = type(rows).__name__
        if kind in ("DataFrame", "Table", "RecordBatch"):
            begun = begun.from_pandas(rows) if kind == "DataFrame" else begun.from_arrow(rows)
        else:
            (_, paths), *_ = checks.patterns(rows, "bulk_infer")
            if paths[0].endswith((".parquet", ".pq")):
                begun = begun.from_parquet(rows)
            else:
                # TFX names its files data_tfrecord-00000-of-00001.gz.
                begun = begun.from_tfrecord(rows) if "tfrecord" in Path(paths[0]).name else begun.from_csv(rows)
        source = begun.steps[0]
        assert isinstance(source, Source)
        return source
