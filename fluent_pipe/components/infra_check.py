"""What ``infra_validate`` checks: real rows through a server, its answers, its speed and its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from fluent_pipe import progress
from fluent_pipe.artifacts import Model
from fluent_pipe.errors import FluentPipeError, ServingError
from fluent_pipe.serving.asking import Timing, attended, predictions
from fluent_pipe.serving.client import Client, encoded
from fluent_pipe.serving.process import ServerProcess
from fluent_pipe.serving.signatures import Signature, instances
from fluent_pipe.steps.delivery import InfraValidate
from fluent_pipe.training.answers import TrainedAnswers
from fluent_pipe.training.raw_inputs import serialized

T = TypeVar("T")

NAME = "model"
BATCH = 32
"""Rows of a request whose answers are compared."""
RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-5
"""Of float32 sums that were taken in another order."""
FIXES = {
    "Could not find variable": (
        "The SavedModel works in eager mode alone: a server runs it in a session, which does not find its variables. "
        "Export it with keras.export.ExportArchive().write_out(...) or model.export(...), not tf.saved_model.save."
    ),
    "Op type not registered": (
        "Use TensorFlow's own ops; or load the model in a server that has the custom op, and check that one: "
        "infra_validate(endpoint=...)."
    ),
}
"""What to do about what TensorFlow says."""
ENDPOINT_SECONDS = 10.0
"""How long a server that runs already may still be loading."""


class Server(Protocol):
    """What is asked: a process of our own, or a server that ran before."""

    url: str
    load_seconds: float | None

    def check(self, *, seconds: float = 0) -> None:
        """Raise ``ServingError`` if it has ended."""


@dataclass
class Running:
    """A server that ran before; of it only the answers are known."""

    url: str
    load_seconds: float | None = None

    def check(self, *, seconds: float = 0) -> None:
        """Nothing to look at."""


class InfraCheck:
    """One model, served and asked.

    Parameters
    ----------
    step
        Limits and numbers.
    name
        Id of the step, for progress.
    model
        As training left it.
    served
        The SavedModel that is served.
    rows
        Flat columns.
    """

    def __init__(self, step: InfraValidate, name: str, model: Model, served: Path, rows: pa.RecordBatch) -> None:
        self._step = step
        self._name = name
        self._model = model
        self._served = served
        self._rows = rows
        self._answered = 0
        self._reasons: list[str] = []
        self._found: dict[str, Any] = {
            "load_seconds": None, "latency_ms": None, "memory_mb": None, "rows": 0, "largest_difference": None,
            "compared_with": None,
        }  # fmt: skip

    def run(self, signatures: Sequence[Signature]) -> None:
        """Serve, ask, measure, compare.

        Raises
        ------
        ServingError, ArgumentError
            What the model is refused for, besides limits.
        """
        with self._server() as server, Client(server.url) as client:
            self._found["load_seconds"] = server.load_seconds
            answers = self._ask(server, client, signatures)
            self._found["rows"] = self._rows.num_rows
            for signature in signatures:
                self._check_finite(signature, answers[signature.name])
            self._time(server, signatures)
        self._compare(signatures, answers)

    def refuse(self, error: FluentPipeError) -> None:
        """Keep what the model is refused for."""
        error.fix = next((fix for said, fix in FIXES.items() if said in error.fact), error.fix)
        self._reasons.append(str(error).replace(f"{self._served.parent}/", ""))  # staging is gone when it is read

    def verdict(self) -> dict[str, Any]:
        """The content of ``infra.json``, with limits held against what was measured."""
        reasons = [*self._reasons, *self._over_limits()]
        return {
            "blessed": not reasons,
            "reasons": reasons,
            "endpoint": self._step.endpoint,
            "requests": self._answered,
            "concurrency": self._step.concurrency,
            "limits": {
                "load_seconds": self._step.max_load_seconds,
                "latency_ms": self._step.max_latency_ms,
                "memory_mb": self._step.max_memory_mb,
            },
            **self._found,
        }

    @contextmanager
    def _server(self) -> Iterator[Server]:
        self._report("starting a server")
        if self._step.endpoint is not None:
            with Client(self._step.endpoint, seconds=ENDPOINT_SECONDS) as client:
                attended([lambda: client.wait(ENDPOINT_SECONDS, watch=progress.check)], progress.check)
            yield Running(self._step.endpoint)
            return
        limit = self._step.max_load_seconds
        # Its files lie in staging, which is swept if this process is killed.
        with ServerProcess(self._served, NAME, load_seconds=limit, scratch=self._served.parent) as process:
            try:
                process.wait(watch=progress.check)
                yield process
            finally:
                self._found["memory_mb"] = process.memory_mb or None

    def _ask(
        self, server: Server, client: Client, signatures: Sequence[Signature]
    ) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """Answers to all rows, by signature and output."""
        self._report("comparing answers")
        answers = {}
        for signature in signatures:
            rows = instances(signature.tensors(self._rows))
            batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
            answered = self._attend(server, [partial(predictions, client, signature.name, batches)])[0]
            answers[signature.name] = signature.read(answered)
        return answers

    def _time(self, server: Server, signatures: Sequence[Signature]) -> None:
        """Milliseconds of single-row requests, the signatures in turn, over connections that are kept open."""
        count = max(self._rows.num_rows, len(signatures))
        asked = [(signatures[n % len(signatures)], self._rows.slice(n % self._rows.num_rows, 1)) for n in range(count)]
        bodies = [encoded(instances(signature.tensors(row)), signature=signature.name) for signature, row in asked]
        timing = Timing(server.url, bodies, self._step.requests)

        def watch() -> None:
            self._report(f"{len(timing.seconds):,} of {self._step.requests:,} requests")

        try:
            self._attend(server, [timing.run] * min(self._step.concurrency, self._step.requests), watch)
        finally:
            timing.stopped.set()
        self._answered = len(timing.seconds)
        percentiles = np.percentile(np.array(timing.seconds) * 1000, [50, 95, 99])
        self._found["latency_ms"] = dict(zip(("p50", "p95", "p99"), percentiles.tolist(), strict=True))

    def _attend(
        self, server: Server, jobs: Sequence[Callable[[], T]], watch: Callable[[], None] = lambda: None
    ) -> list[T]:
        def look() -> None:
            progress.check()
            server.check()
            watch()

        try:
            return attended(jobs, look)
        except ServingError:
            server.check(seconds=1)  # that the process has died is the better reason
            raise

    def _check_finite(self, signature: Signature, answers: dict[str, np.ndarray[Any, Any]]) -> None:
        for output, values in answers.items():
            if values.dtype.kind != "f" or np.isfinite(values).all():
                continue
            bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
            row = self._rows.slice(int(bad[0]), 1).to_pylist()[0]
            shown = ", ".join(f"{name}={value!r}" for name, value in row.items())
            raise ServingError(
                f"The model answered NaN or infinity for {len(bad)} of {len(values)} rows (signature "
                f"{signature.name!r}, output {output!r}). The first of them: {shown[:300]}.",
                fix="Look at missing values in preprocess(), and at the loss while training.",
            )

    def _compare(self, signatures: Sequence[Signature], answers: dict[str, dict[str, np.ndarray[Any, Any]]]) -> None:
        self._report("comparing with the trained model")
        examples = np.array(serialized(self._rows), object)
        try:
            trained = TrainedAnswers(self._model)
            expected = {s.name: trained.of(s.name, s.tensors(self._rows), examples) for s in signatures}
        except Exception as error:  # TensorFlow raises anything
            raise ServingError(f"The trained model cannot be asked for comparison: {error}") from error
        self._found["compared_with"] = trained.source
        self._found["largest_difference"] = 0.0
        for signature, output in ((s, o) for s in signatures for o in s.outputs):
            self._compare_output(signature.name, output, answers[signature.name][output], expected[signature.name])

    def _compare_output(
        self, signature: str, output: str, got: np.ndarray[Any, Any], all_expected: dict[str, np.ndarray[Any, Any]]
    ) -> None:
        expected = all_expected[output]
        where = f"signature {signature!r}, output {output!r}"
        if got.shape != expected.shape:
            raise ServingError(f"The server's answers have shape {got.shape}, the model's {expected.shape} ({where}).")
        if expected.dtype.kind not in "fiub":
            different, largest = got != expected, None
        else:
            difference = np.abs(got.astype(np.float64) - expected.astype(np.float64))
            # Said so, and not by ">", for the trained model may answer NaN where the server does not.
            different = ~(difference <= ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * np.abs(expected))
            largest = float(np.nan_to_num(difference).max())
            self._found["largest_difference"] = max(self._found["largest_difference"], largest)
        rows = int(different.reshape(len(different), -1).any(axis=1).sum())
        if rows:
            by = "" if largest is None else f" by up to {largest:.3g}"
            raise ServingError(
                f"The server's answers differ from those of {self._found['compared_with']}{by} in {rows} of {len(got)} "
                f"rows ({where}); {ABSOLUTE_TOLERANCE:g} and {RELATIVE_TOLERANCE:.2%} of the value are allowed.",
                fix="Look for what depends on chance or state: layers called with training=True, tables, counters.",
            )

    def _over_limits(self) -> Iterator[str]:
        step, found = self._step, self._found
        latency = found["latency_ms"] and found["latency_ms"]["p95"]
        for fact, got, limit, unit, name in (
            ("Loading the model took", found["load_seconds"], step.max_load_seconds, "s", "max_load_seconds"),
            ("95 % of requests were answered within", latency, step.max_latency_ms, "ms", "max_latency_ms"),
            ("The server took memory of", found["memory_mb"], step.max_memory_mb, "MB", "max_memory_mb"),
        ):
            if limit is not None and got is not None and got > limit:
                yield (
                    f"{fact} {got:,.4g} {unit}, the limit is {limit:,g} {unit} ({name}). "
                    f"Make the model smaller, raise the limit, or run again when the machine is less busy."
                )

    def _report(self, detail: str) -> None:
        progress.report(self._name, detail=detail)
