"""What Beam measured in a job, by the step that its transforms belong to, and what steps counted in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

COUNTERS = "fluent_pipe"
"""Namespace of the Beam counters that take the rows of steps, which name them, from workers to the driver."""


def seconds_by_step(infos: Iterable[Any], names: Mapping[str, str] | None = None) -> Mapping[str, float]:
    """Seconds that bundles took, by step, of a job's ``MonitoringInfo`` protos.

    Parameters
    ----------
    names
        Labels of transforms by the ids that the runner has for them. Default: an id is its label and a prefix.
    """
    from apache_beam.metrics import monitoring_infos as mi

    seconds: defaultdict[str, float] = defaultdict(float)
    for info in infos:
        if info.urn in (mi.START_BUNDLE_MSECS_URN, mi.PROCESS_BUNDLE_MSECS_URN, mi.FINISH_BUNDLE_MSECS_URN):
            transform = info.labels.get("PTRANSFORM", "")
            label = (names or {}).get(transform, transform)
            seconds[label.partition("/")[0].removeprefix("ref_AppliedPTransform_")] += (
                mi.extract_counter_value(info) / 1000
            )
    return dict(seconds)


def rows_by_step(infos: Iterable[Any]) -> Mapping[str, int]:
    """Rows that steps reported on workers, of a job's ``MonitoringInfo`` protos."""
    from apache_beam.metrics import monitoring_infos as mi

    rows: Counter[str] = Counter()
    for info in infos:
        if info.urn == mi.USER_COUNTER_URN and info.labels.get("NAMESPACE") == COUNTERS:
            rows[info.labels["NAME"]] += mi.extract_counter_value(info)
    return dict(rows)
