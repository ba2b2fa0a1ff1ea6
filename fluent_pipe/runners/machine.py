"""What this machine has for a step: memory, processors and GPUs, as far as a container lets them be used."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fluent_pipe.steps.resources import Resources

CONTROL_GROUPS = Path("/sys/fs/cgroup")
SMI_SECONDS = 20


@dataclass(frozen=True)
class Machine:
    """What a machine has.

    Parameters
    ----------
    memory
        Bytes.
    cpu
        Processors that this process may use.
    gpu
        GPUs that this process may use.

    Examples
    --------
    >>> print(Machine(memory=24 * 10**9, cpu=8, gpu=0))
    24 GB of memory, 8 processors, no GPU
    """

    memory: int
    cpu: int
    gpu: int

    def __str__(self) -> str:
        return f"{_gigabytes(self.memory, math.floor)}, {_processors(self.cpu)}, {_gpus(self.gpu)}"

    def lacks(self, asked: Resources) -> str | None:
        """What is asked for and not there, as the end of a sentence; None where all is.

        Examples
        --------
        >>> Machine(memory=24 * 10**9, cpu=8, gpu=0).lacks(Resources(memory="64GB", gpu=1, cpu=4))
        'asks for 64 GB of memory and 1 GPU; this machine has 24 GB of memory and no GPU'
        """
        memory = asked.memory_bytes or 0
        short = [
            *([(_gigabytes(memory, math.ceil), _gigabytes(self.memory, math.floor))] if memory > self.memory else []),
            *([(_processors(asked.cpu), _processors(self.cpu))] if asked.cpu and asked.cpu > self.cpu else []),
            *([(_gpus(asked.gpu), _gpus(self.gpu))] if asked.gpu > self.gpu else []),
        ]
        if not short:
            return None
        wanted, there = (" and ".join(words) for words in zip(*short, strict=True))
        return f"asks for {wanted}; this machine has {there}"


def this_machine() -> Machine:
    """What this process may use: of the machine, of its control group (a container's limits), of its affinity."""
    import psutil

    groups = list(_control_groups())
    memory = min([int(psutil.virtual_memory().total), *filter(None, map(_memory_limit, groups))])
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(memory, min([own, *filter(None, map(_processor_limit, groups))]), _gpu_count())


def _control_groups() -> Iterator[Path]:
    """Folders of this process' control groups and of those around them, of version 2 and of version 1."""
    own = Path("/proc/self/cgroup")
    lines = own.read_text().splitlines() if own.is_file() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        top = CONTROL_GROUPS / controllers if controllers else CONTROL_GROUPS
        # Inside a container the path may be that of the machine outside; the limits then lie at the top.
        inner = top / path.lstrip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())


def _memory_limit(group: Path) -> int | None:
    """Bytes; None for no limit, which version 1 writes as a number beyond all memory."""
    return next((int(t) for t in _texts(group, "memory.max", "memory.limit_in_bytes") if t.isdecimal()), None)


def _processor_limit(group: Path) -> int | None:
    """Processors, rounded up; None for no limit."""
    quota, period = next((t.split()[:2] for t in _texts(group, "cpu.max") if " " in t), ("max", "1"))
    if quota == "max":
        quota, period = next(_texts(group, "cpu.cfs_quota_us"), "-1"), next(_texts(group, "cpu.cfs_period_us"), "1")
    return math.ceil(int(quota) / int(period)) if quota.isdecimal() else None


def _texts(group: Path, *names: str) -> Iterator[str]:
    for name in names:
        try:
            yield (group / name).read_text().strip()
        except OSError:
            continue


def _gpu_count() -> int:
    """GPUs by their device files, else as the driver's own command lists them; no more than CUDA is let see."""
    devices = Path("/dev")
    count = sum(re.fullmatch(r"nvidia\d+", p.name) is not None for p in devices.glob("nvidia*")) or _listed_gpus()
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if seen is None else min(count, len([d for d in seen.split(",") if d.strip() not in ("", "-1")]))


@cache
def _listed_gpus() -> int:
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        done = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def _gigabytes(count: int, rounded: Callable[[float], int]) -> str:
    """To a tenth; what is wanted upwards and what is there downwards, so that the two never read alike."""
    return f"{rounded(count / 1e8) / 10:,.1f}".removesuffix(".0") + " GB of memory"


def _processors(count: int) -> str:
    return f"{count} {'processor' if count == 1 else 'processors'}"


def _gpus(count: int) -> str:
    return f"{count or 'no'} {'GPU' if count <= 1 else 'GPUs'}"
