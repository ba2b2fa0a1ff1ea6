"""Jobs on a Flink cluster, by its REST interface: what Beam's job server cannot do there."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

log = logging.getLogger(__name__)

ENDED = ("FINISHED", "CANCELED", "FAILED")
ANSWER_SECONDS = 5.0
CANCEL_SECONDS = 15.0
POLL_SECONDS = 0.2


def cancel(master: str, name: str) -> None:
    """Cancel the jobs of a name that are under way, and wait until they have ended.

    Beam's job server calls a job cancelled when it waits for it no more; on a cluster the job goes on.

    Parameters
    ----------
    master
        ``host:port`` of the job manager, or its URL.
    name
        Of the job, as it was handed over.
    """
    until = time.monotonic() + CANCEL_SECONDS
    with suppress(URLError, OSError, ValueError):  # a cluster that cannot be reached cannot be told
        asked: set[str] = set()
        while left := {job["jid"] for job in _jobs(master) if job["name"] == name and job["state"] not in ENDED}:
            for job in left - asked:
                log.info("Cancelling Flink's job %s", job)
                _ask(master, f"/jobs/{job}?mode=cancel", method="PATCH")
            asked |= left
            if time.monotonic() > until:
                log.warning("Flink's jobs %s have not ended yet.", ", ".join(left))
                return
            time.sleep(POLL_SECONDS)


def _jobs(master: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _ask(master, "/jobs/overview")["jobs"]
    return found


def _ask(master: str, path: str, *, method: str = "GET") -> Any:
    address = master if "://" in master else f"http://{master}"
    with urlopen(Request(f"{address}{path}", method=method), timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)
