"""Names and labels of jobs, as Google's services take them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fluent_pipe.errors import ArgumentError
from fluent_pipe.runners.base import JobName

MOST = 63
_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_VALUE = re.compile(r"[-_a-z0-9]{0,63}")
_A_LABEL = "Keys and values are lower case letters, digits, - and _, up to 63; a key begins with a letter."


def steps_name(name: JobName) -> str:
    """The same for a job of the same steps in every run.

    Examples
    --------
    >>> steps_name(JobName("flights", "20260102-030405-abcd", ("from_csv", "generate_statistics", "validate")))
    'flights-from-csv-to-validate'
    """
    first, last = name.steps[0], name.steps[-1]
    return _dashed(f"{name.pipeline}-{first}" + (f"-to-{last}" if last != first else ""))[:MOST].rstrip("-")


def job_name(name: JobName) -> str:
    """The name of a job that runs: lower case letters, digits and dashes, up to 63, and no other's.

    Examples
    --------
    >>> job_name(JobName("flights", "20260102-030405-abcd", ("from_csv", "generate_statistics", "validate")))
    'flights-from-csv-to-validate-20260102-030405-abcd'
    """
    run = re.sub(r"[^a-z0-9]+", "-", name.run.lower())[-MOST // 2 :].strip("-")
    return f"{steps_name(name)[: MOST - 1 - len(run)].rstrip('-')}-{run}"


def labels(name: JobName, more: Mapping[str, str]) -> list[str]:
    """Labels of a job, ``key=value``: pipeline, run and steps, and ``more``.

    Examples
    --------
    >>> labels(JobName("Flights 2013", "20260102-030405-abcd", ("from_csv", "validate")), {"team": "ops"})
    ['fluent-pipe-pipeline=flights_2013', 'fluent-pipe-run=20260102-030405-abcd', \
'fluent-pipe-steps=from_csv--validate', 'team=ops']
    """
    own = {"pipeline": name.pipeline, "run": name.run, "steps": "--".join(name.steps)}
    named = {f"fluent-pipe-{key}": re.sub(r"[^-_a-z0-9]", "_", value.lower())[:MOST] for key, value in own.items()}
    return [f"{key}={value}" for key, value in {**named, **more}.items()]


def check_labels(given: Mapping[str, str], call: str) -> None:
    """Raise ``ArgumentError`` if one is not as Google takes them."""
    for key, value in given.items():
        if not isinstance(value, str) or not _VALUE.fullmatch(value) or not _KEY.fullmatch(str(key)):
            raise ArgumentError(f"{call}(labels=) has {key!r}: {value!r}.", fix=_A_LABEL)


def _dashed(text: str) -> str:
    dashed = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return dashed if dashed[:1].isalpha() else f"p-{dashed}"  # a job's name begins with a letter
