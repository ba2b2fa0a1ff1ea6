"""What Beam measured in a job, by the step that its transforms belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def seconds_by_step(infos: Iterable[Any]) -> Mapping[str, float]:
    """Seconds that bundles took, by step, of a job's ``MonitoringInfo`` protos."""
    from apache_beam.metrics import monitoring_infos as mi

    seconds: defaultdict[str, float] = defaultdict(float)
    for info in infos:
        if info.urn in (mi.START_BUNDLE_MSECS_URN, mi.PROCESS_BUNDLE_MSECS_URN, mi.FINISH_BUNDLE_MSECS_URN):
            transform = info.labels.get("PTRANSFORM", "")
            seconds[transform.partition("/")[0].removeprefix("ref_AppliedPTransform_")] += (
                mi.extract_counter_value(info) / 1000
            )
    return dict(seconds)
