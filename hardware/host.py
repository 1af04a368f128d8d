"""The host processor: its name, its clock as timing events, and the random states every device shares."""

from __future__ import annotations

import ctypes
import platform
import random
import time
from pathlib import Path

_NUMPY_SEED_LIMIT = 2**32
"""NumPy's legacy generator takes 32-bit seeds only."""

_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1
"""From glibc's <malloc.h>: how many blocks get mappings of their own; above what size the heap's end is returned."""


class HostEvent:
    """A mark on the host's clock, for stacks whose work is done when the call returns."""

    __slots__ = ("at_s",)

    def __init__(self) -> None:
        self.at_s: float | None = None

    def record(self) -> None:
        """Set the mark."""
        self.at_s = time.perf_counter()

    def seconds_until(self, end: HostEvent) -> float:
        """Seconds from this mark to `end`; both must be recorded."""
        assert self.at_s is not None and end.at_s is not None, "an event was read before it was recorded"
        return end.at_s - self.at_s


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor as the kernel names it; the architecture where it gives no model name (as on most Arm machines)."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return " ".join(value.split())
    return platform.processor() or platform.machine()


def seed_host(seed: int) -> None:
    """Seed Python, NumPy and torch, which seeds its devices too."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % _NUMPY_SEED_LIMIT)
    torch.manual_seed(seed)


def keep_freed_memory() -> bool:
    """Let the C library keep the memory that tensors free, as the caching allocators of accelerators do.

    glibc otherwise maps large blocks anew or gives the heap's end back, depending on the order in which blocks are
    freed: a training step of the same program then meets none or thousands of page faults, by chance.

    Returns:
        Whether the C library took the setting; others than glibc have none.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # mallopt answers 1 for what it took. The threshold is an int: its largest value is never reached.
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
