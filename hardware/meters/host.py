"""The machine itself: processor, memory in use, bytes moved, and the resident memory of the case's processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

import psutil

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.host_io import disk_bytes, network_bytes

MACHINE = "host"
PROCESSES = "processes"
SHORTEST_S = 0.1
"""Processor times are counted in steps of 10 ms: utilisation over less than this says nothing."""
TREE_PERIOD_S = 5.0
"""Finding descendants means reading every process of the machine; their memory alone is cheap."""


class Host(Meter):
    """Source `host`: the whole machine. Source `processes`: the sum over the watched processes and their descendants.

    Memory of `processes` is the sum of resident sizes; pages that several processes share count once in each.
    """

    name: ClassVar[str] = "host"
    period_s: ClassVar[float] = 1.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._roots: set[int] = set()
        self._tree: list[psutil.Process] = []
        self._tree_due_s = 0.0
        self._since_s = 0.0

    def watch(self, pid: int) -> None:
        """Count this process and its descendants from now on."""
        self._roots.add(pid)
        self._tree_due_s = 0.0

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Start the interval that utilisation is a mean over.

        Raises:
            MeterUnavailableError: the machine does not tell its processor times.
        """
        try:
            psutil.cpu_percent(interval=None)
            self._since_s = self._clock()
        except (OSError, psutil.Error, NotImplementedError) as error:
            raise MeterUnavailableError(f"host: {error}") from error

    def read(self) -> list[Reading]:
        """The machine, and the watched processes while one of them lives.

        Raises:
            MeterUnavailableError: the machine does not answer.
        """
        try:
            memory = psutil.virtual_memory()
            disks, network = disk_bytes(), network_bytes()
            machine = Reading(
                source=MACHINE,
                scope="host",
                utilisation=self._utilisation(),
                memory_used_bytes=memory.total - memory.available,
                disk_read_bytes=disks.received,
                disk_written_bytes=disks.sent,
                network_sent_bytes=network.sent,
                network_received_bytes=network.received,
            )
        except (OSError, psutil.Error) as error:
            raise MeterUnavailableError(f"host: {error}") from error
        rss_bytes = self._rss_bytes()
        if rss_bytes is None:
            return [machine]
        return [machine, Reading(source=PROCESSES, scope="host", memory_used_bytes=rss_bytes)]

    def _utilisation(self) -> float | None:
        """Share of all cores' time since the last call, 0..1; null when that was just now."""
        now_s = self._clock()
        if now_s - self._since_s < SHORTEST_S:
            return None
        self._since_s = now_s
        return float(psutil.cpu_percent(interval=None)) / 100

    def _rss_bytes(self) -> int | None:
        """Resident bytes of the watched trees; null when nobody is left."""
        now_s = self._clock()
        if now_s >= self._tree_due_s:
            self._tree = _descendants(self._roots)
            self._tree_due_s = now_s + TREE_PERIOD_S
        sizes = [size for process in self._tree if (size := _rss(process))]
        return sum(sizes) if sizes else None


def _descendants(roots: set[int]) -> list[psutil.Process]:
    """The living processes of the trees, each once."""
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        try:
            root = psutil.Process(pid)
            found |= {process.pid: process for process in [root, *root.children(recursive=True)]}
        except psutil.Error:
            continue  # it has ended; the others are still counted
    return list(found.values())


def _rss(process: psutil.Process) -> int:
    """Resident bytes; 0 for a process that has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
