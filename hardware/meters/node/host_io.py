"""Bytes that the machine's disks and network cards have moved since it was started, each byte counted once.

The kernel counts a byte again in every layer it passes: partition, RAID, encryption, logical volume; card, bond,
bridge. Linux tells the hardware from the layers: a block device or network interface that a driver made has a link
`device` in sysfs (kernel documentation, admin-guide/sysfs-rules). What bypasses the kernel, such as RDMA, is in none of
these counters.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

SYS = Path("/sys")
_NVME_PATH = re.compile(r"nvme\d+c\d+n\d+")
"""One of several ways to an NVMe disk that the kernel shows once more as `nvme0n1`."""
_UNTOLD = (OSError, psutil.Error, NotImplementedError, RuntimeError)
"""RuntimeError: no disk at all, as in some containers."""


class Moved(NamedTuple):
    """Bytes that came from, and went to, the outside; None where the machine does not tell."""

    received: int | None
    sent: int | None


def disk_bytes(sys_root: Path = SYS) -> Moved:
    """Bytes read from and written to all disks."""
    try:
        found = psutil.disk_io_counters(perdisk=True) or {}
    except _UNTOLD:
        return Moved(received=None, sent=None)
    on_linux = sys.platform.startswith("linux")
    told = [one for name, one in found.items() if not on_linux or _is_disk(name, sys_root)]
    return _sum([(one.read_bytes, one.write_bytes) for one in told])


def network_bytes(sys_root: Path = SYS) -> Moved:
    """Bytes received and sent by all network cards; in a container, by its own interfaces."""
    try:
        found = psutil.net_io_counters(pernic=True) or {}
    except _UNTOLD:
        return Moved(received=None, sent=None)
    names = [name for name in found if name not in ("lo", "lo0")]
    if sys.platform.startswith("linux"):
        cards = [name for name in names if (sys_root / "class/net" / name / "device").exists()]
        names = cards or [name for name in names if not _is_layer(sys_root / "class/net" / name)]
    return _sum([(found[name].bytes_recv, found[name].bytes_sent) for name in names])


def _is_disk(name: str, sys_root: Path) -> bool:
    folder = sys_root / "block" / name.replace("/", "!")
    return (folder / "device").exists() and not _NVME_PATH.fullmatch(name)


def _is_layer(folder: Path) -> bool:
    """Whether an interface stands on others, whose bytes it would count again."""
    return (folder / "bridge").exists() or any(folder.glob("lower_*"))


def _sum(pairs: list[tuple[int, int]]) -> Moved:
    if not pairs:
        return Moved(received=None, sent=None)
    return Moved(received=sum(one for one, _ in pairs), sent=sum(one for _, one in pairs))
