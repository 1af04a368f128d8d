"""The host processor: its name, its clock as timing events, and the random states every device shares."""

from __future__ import annotations

import ctypes
import platform
import random
import time
from pathlib import Path

from hardware.base import DeviceCondition, DeviceProcess

_NUMPY_SEED_LIMIT = 2**32
"""NumPy's legacy generator takes 32-bit seeds only."""

_M_MMAP_MAX, _M_TRIM_THRESHOLD = -4, -1
"""From glibc's <malloc.h>: how many blocks get mappings of their own; above what size the heap's end is returned."""

MOMENT_S = 0.5
"""How long it is watched who uses the processors."""
ISOLATED = 0.05
"""Share of the processors below which others do not disturb a run much."""
_BUSY_CORES, _MOST = 0.05, 5
"""Cores' time from which a process is named, and how many are."""


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


def host_condition(root: Path = Path("/"), moment_s: float = MOMENT_S) -> DeviceCondition:
    """Who else uses the processors at this moment, and how their clocks and power are set.

    Args:
        root: of the file system that holds `sys`.
        moment_s: how long to watch.
    """
    import psutil

    reasons: dict[str, str] = {}
    facts: dict[str, str] = {}
    isolated, processes = None, None
    try:
        share, processes = _others(moment_s)
        isolated = share < ISOLATED
        facts["others' share of the processors"] = f"{share:.1%}"
    except (OSError, NotImplementedError, psutil.Error) as error:
        reasons |= dict.fromkeys(("isolated", "processes"), f"the processors' times are not told: {error}")
    locked = _clocks_locked(root / "sys/devices/system/cpu", facts)
    if locked is None:
        reasons["clocks_locked"] = "the kernel shows no cpufreq: a virtual machine's clocks are its host's affair"
    limit_w = _power_limit_w(root / "sys/class/powercap")
    if limit_w is None:
        reasons["power_limit_w"] = "no package's power limit can be read under /sys/class/powercap"
    return DeviceCondition(
        isolated=isolated,
        processes=processes,
        power_limit_w=limit_w,
        clocks_locked=locked,
        facts=facts,
        reasons=reasons,
    )


def _others(moment_s: float) -> tuple[float, tuple[DeviceProcess, ...]]:
    """Share of all processors that others take, other machines on the same host included, and who the largest are."""
    import psutil

    me = psutil.Process()
    own = {me.pid, *(parent.pid for parent in me.parents())}
    before = _times(own)
    began_s, own_s = time.monotonic(), time.process_time()
    busy = psutil.cpu_percent(interval=moment_s) / 100
    passed_s = time.monotonic() - began_s
    cores = (time.process_time() - own_s) / passed_s
    taken = {
        pid: (name, (after_s - before[pid][1]) / passed_s)
        for pid, (name, after_s) in _times(own).items()
        if pid in before
    }
    largest = sorted(taken.items(), key=lambda item: -item[1][1])[:_MOST]
    named = (DeviceProcess(pid=pid, name=name, cores=share) for pid, (name, share) in largest if share >= _BUSY_CORES)
    return max(0.0, busy - cores / (psutil.cpu_count() or 1)), tuple(named)


def _times(own: set[int]) -> dict[int, tuple[str, float]]:
    """Name and processor seconds of every process but `own`; those that may not be looked at are left out."""
    import psutil

    found = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if process.pid not in own and times is not None:
            found[process.pid] = (str(process.info["name"]), float(times.user + times.system))
    return found


def _clocks_locked(cpus: Path, facts: dict[str, str]) -> bool | None:
    """Whether every core is held at one frequency (kernel: admin-guide/pm/cpufreq); None without cpufreq."""
    folders = sorted(cpus.glob("cpu[0-9]*/cpufreq"))
    governors = {text for folder in folders if (text := _text(folder / "scaling_governor"))}
    if governors:
        facts["governor"] = ", ".join(sorted(governors))
    boost = _boost(cpus)
    if boost is not None:
        facts["boost"] = "on" if boost else "off"
    edges = [(_text(folder / "scaling_min_freq"), _text(folder / "scaling_max_freq")) for folder in folders]
    if not edges or not all(low and high for low, high in edges):
        return None
    return not boost and all(low == high for low, high in edges)


def _boost(cpus: Path) -> bool | None:
    """Whether cores may run above their base frequency: `boost` of acpi-cpufreq, `no_turbo` of intel_pstate."""
    boost, no_turbo = _text(cpus / "cpufreq/boost"), _text(cpus / "intel_pstate/no_turbo")
    if boost in ("0", "1"):
        return boost == "1"
    return no_turbo == "0" if no_turbo in ("0", "1") else None


def _power_limit_w(powercap: Path) -> float | None:
    """Sum of the packages' long-term limits (kernel: power/powercap); None when one of them is not told."""
    packages = [zone for zone in powercap.glob("intel-rapl:*") if _text(zone / "name").startswith("package")]
    limits = [
        _text(name.with_name(name.name.replace("_name", "_power_limit_uw")))
        for zone in packages
        for name in zone.glob("constraint_*_name")
        if _text(name) == "long_term"
    ]
    if not limits or len(limits) != len(packages) or not all(map(str.isdigit, limits)):
        return None
    return sum(map(int, limits)) / 1e6


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
