"""What the server counts, in the form that Prometheus reads."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)


class Metrics:
    """The figures of one server; ``text()`` is what ``/metrics`` answers.

    Attributes
    ----------
    requests
        Predict requests by HTTP status.
    seconds
        From a request's head to its answer.
    rows
        Rows that were predicted.
    batch_rows
        Rows in one run of the graph.
    waiting
        Requests that are not running yet.
    version
        The version that answers.
    loads
        Versions that were loaded, the first among them.
    broken
        Versions that lie in the folder and do not load.
    """

    def __init__(self, model: str) -> None:
        registry = CollectorRegistry()
        counter = partial(Counter, namespace="fluent_pipe", registry=registry)
        gauge = partial(Gauge, namespace="fluent_pipe", registry=registry)
        histogram = partial(Histogram, namespace="fluent_pipe", registry=registry)
        by = ("model",)
        self._by_status = counter("requests", "Predict requests.", ("model", "status"))
        self.seconds = histogram("request_seconds", "Time to answer.", by, buckets=SECONDS).labels(model)
        self.rows = counter("rows", "Rows that were predicted.", by).labels(model)
        self.batch_rows = histogram("batch_rows", "Rows in one run.", by, buckets=ROWS).labels(model)
        self.waiting = gauge("waiting_requests", "Requests that are not running yet.", by).labels(model)
        self.version = gauge("model_version", "The version that answers.", by).labels(model)
        self.loads = counter("model_loads", "Versions that were loaded.", by).labels(model)
        self.broken = gauge("broken_versions", "Versions that do not load.", by).labels(model)
        self._model = model
        self._registry = registry
        ProcessCollector(registry=registry)

    def answered(self, status: int, seconds: float) -> None:
        """Count a predict request."""
        self._by_status.labels(self._model, status).inc()
        self.seconds.observe(seconds)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)
