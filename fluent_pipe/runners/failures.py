"""What a runner's or a worker's text means, where it speaks of the runner or its workers and not of the data."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata
from importlib.machinery import ModuleSpec
from typing import NamedTuple

from fluent_pipe.errors import RunnerError
from fluent_pipe.steps import carrying


class _Meaning(NamedTuple):
    said: str
    fact: str
    fix: str


_MEANINGS = (
    _Meaning(
        r"Insufficient number of network buffers",
        "Flink has too little memory for the shuffles of the job.",
        "Raise taskmanager.memory.network.max and .min in Flink's settings (256mb are enough for most jobs), or lower "
        "parallelism.",
    ),
    _Meaning(
        r"Could not allocate enough memory segments for NetworkBufferPool",
        "The job server's heap is too small for Flink's own buffers.",
        'Give the runner more, for example memory="4g".',
    ),
    _Meaning(
        r"OutOfMemoryError: Metaspace",
        "A Java process of the runner ran out of memory for classes; each job leaves some in a long-lived one.",
        "Raise taskmanager.memory.jvm-metaspace.size in Flink's settings, or start its task managers anew.",
    ),
    _Meaning(
        r"OutOfMemoryError",
        "A Java process of the runner ran out of memory.",
        'Give the job server more, for example memory="4g"; on a cluster, its task managers or executors.',
    ),
    _Meaning(
        r"NoResourceAvailableException|Could not acquire the minimum required resources",
        "The cluster has no free slots for the job.",
        "Lower parallelism, wait until other jobs have ended, or add task managers.",
    ),
    _Meaning(
        r"TaskManager with id \S+ (?:is no longer reachable|timed out)|by remote task manager|ExecutorLostFailure",
        "A machine of the cluster ended, or was cut off, in the middle of a job.",
        "Finished steps stay cached; run again to go on.",
    ),
    _Meaning(
        r"StatusRuntimeException: CANCELLED: client cancelled",  # what the runner sees of a connection that broke
        "A worker process ended in the middle of a job.",
        "Was it killed, or out of memory? Its machine's log tells. Finished steps stay cached; run again to go on.",
    ),
    _Meaning(
        r"finishConnect\(\.\.\) failed: Connection refused|StatusRuntimeException: UNAVAILABLE: io exception",
        "The cluster could not reach the Python workers.",
        "See that `fluent-pipe worker-pool` runs at the worker_pool address, as the cluster's machines see it.",
    ),
    _Meaning(
        r"java\.net\.(ConnectException: Connection refused|UnknownHostException)",
        "The cluster could not be reached.",
        "See that it runs at the address given as master.",
    ),
    _Meaning(
        r"Cannot call methods on a stopped SparkContext|All masters are unresponsive",
        "Spark ended before the job began: its master could not be reached, or did not take the application.",
        "See that it runs at the address given as master, and that it is of the job server's version of Spark.",
    ),
    _Meaning(
        r"cancelled because SparkContext was shut down",
        "Spark ended in the middle of the job, as it does where memory runs out.",
        'Give the runner more, for example memory="4g"; the log tells more.',
    ),
)
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


def missing_on_workers(text: str) -> RunnerError | None:
    """The error for a module that workers lack and this machine has; None if ``text`` tells of no such thing.

    A module that is not here either is a mistake in the user's code, on any runner.

    Parameters
    ----------
    text
        What was raised on a worker, or all that the runner said.

    Examples
    --------
    >>> print(missing_on_workers("ModuleNotFoundError: No module named 'rich'").fact)
    The workers lack the package 'rich', which is installed here.
    >>> missing_on_workers("ModuleNotFoundError: No module named 'not_here_either'") is None
    True
    """
    named = _NO_MODULE.findall(text)
    found = _found(named[-1]) if named else None
    if found is None:
        return None
    top = found.name.partition(".")[0]
    if top not in carrying.NOT_CARRIED and carrying.is_local_file(found.origin or ""):
        return RunnerError(
            f"The workers lack the module {found.name!r}, which lies beside your code.",
            where=found.origin,
            got=found.name,
            fix="Import what you need of it at the top of the file that uses it (from ... import ...), not inside a "
            "function: then it travels along. Or make a package of it and install that on the workers.",
        )
    package = next(iter(metadata.packages_distributions().get(top, [top])))
    return RunnerError(
        f"The workers lack the package {package!r}, which is installed here.",
        got=found.name,
        fix=f"Install it where they run; or, if the runner takes it, give it "
        f'requirements=["{package}{_version(package)}"].',
    )


def of_runner(text: str) -> RunnerError | None:
    """The error for what is wrong with a runner itself; None if ``text`` tells of no such thing.

    Parameters
    ----------
    text
        What a failed job or the runner's log said.

    Examples
    --------
    >>> print(of_runner("java.lang.OutOfMemoryError: Java heap space").fact)
    A Java process of the runner ran out of memory.
    >>> of_runner("ValueError: bad row") is None
    True
    """
    for meaning in _MEANINGS:
        found = re.search(meaning.said, text)
        if found is not None:
            return RunnerError(meaning.fact, fix=meaning.fix)
    return None


def _found(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def _version(package: str) -> str:
    try:
        return f"=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""
