"""What a step asks of the machine that does it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fluent_pipe.errors import ArgumentError

_UNITS = {
    "": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a step needs: Beam resource hints on a cluster; in this process they are checked before work starts.

    Parameters
    ----------
    gpu
        Number of GPUs.
    gpu_type
        Their type, such as ``"nvidia-tesla-t4"``, in the words of the cluster; Dataflow wants one. Not looked at in
        this process.
    memory
        Least memory of the worker, such as ``"16GB"`` or ``"512MiB"``. None: no wish.
    cpu
        Least number of processors. None: no wish.

    Raises
    ------
    ArgumentError
        If a number is negative, or the memory is no size.

    Examples
    --------
    >>> Resources(gpu=1, memory="16GB", cpu=4).memory_bytes
    16000000000
    """

    gpu: int = 0
    memory: str | None = None
    cpu: int | None = None
    gpu_type: str | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("gpu", self.gpu, 0), ("cpu", 1 if self.cpu is None else self.cpu, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"Resources({name}=) takes an integer of {least} or more, got {value!r}.")
        kind = self.gpu_type
        if kind is not None and not (isinstance(kind, str) and re.fullmatch(r"[\w.-]+", kind) and self.gpu):
            raise ArgumentError(
                f"Resources(gpu_type=) takes the name of a type of GPU, beside gpu=, got {kind!r}.",
                fix='For example fp.Resources(gpu=1, gpu_type="nvidia-tesla-t4").',
            )
        if self.memory is not None and self.memory_bytes is None:
            raise ArgumentError(
                f"Resources(memory=) takes a size, got {self.memory!r}.", fix='For example "16GB" or "512MiB".'
            )

    @property
    def hints(self) -> dict[str, str]:
        """As Beam's resource hints: ``accelerator``, ``min_ram`` and ``cpu_count``, those that are asked for.

        Examples
        --------
        >>> Resources(gpu=1, gpu_type="nvidia-tesla-t4", memory="16GB").hints
        {'accelerator': 'type:nvidia-tesla-t4;count:1;install-nvidia-driver', 'min_ram': '16000000000B'}
        """
        accelerator = f"type:{self.gpu_type or 'any'};count:{self.gpu};install-nvidia-driver"
        asked = {
            "accelerator": accelerator if self.gpu else None,
            "min_ram": f"{self.memory_bytes}B" if self.memory_bytes else None,
            "cpu_count": str(self.cpu) if self.cpu else None,
        }
        return {name: value for name, value in asked.items() if value is not None}

    @property
    def memory_bytes(self) -> int | None:
        """``memory`` in bytes; None where there is no wish."""
        found = re.fullmatch(
            r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", self.memory if isinstance(self.memory, str) else ""
        )
        if found is None or found[2].upper() not in _UNITS:
            return None
        return int(float(found[1]) * _UNITS[found[2].upper()]) or None
