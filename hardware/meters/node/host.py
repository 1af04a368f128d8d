"""The machine itself: processor, memory in use, bytes moved; and what of it the case's own processes take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

import psutil

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.node.host_io import disk_bytes, network_bytes

MACHINE = "host"
PROCESSES = "processes"
SHORTEST_S = 0.1
"""Processor times are counted in steps of 10 ms: utilisation over less than this says nothing."""
TREE_PERIOD_S = 5.0
"""Finding descendants means reading every process of the machine; their memory alone is cheap."""


class Host(Meter):
    """Source `host`: the whole machine. Source `processes`: the sum over the case's processes and their descendants.

    Memory of `processes` is the sum of the watched ones' resident sizes; pages that several processes share count once
    in each. Their utilisation includes what the engine itself takes: what the machine's is above it, others took.
    """

    name: ClassVar[str] = "host"
    period_s: ClassVar[float] = 1.0
    least_period_s: ClassVar[float] = 1.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._roots: dict[int, bool] = {}
        self._tree: list[psutil.Process] = []
        self._measured: list[psutil.Process] = []
        self._tree_due_s = 0.0
        self._since_s = 0.0
        self._own_s: float | None = None

    def watch(self, pid: int, *, memory: bool = True) -> None:
        """Count this process and its descendants from now on: their processor time, and their memory if asked for."""
        self._roots[pid] = memory
        self._tree_due_s = 0.0
        self._own_s = None  # its time so far was no part of this interval

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
        self._look_for_descendants()
        try:
            memory = psutil.virtual_memory()
            utilisation, own = self._utilisations()
            disks, network = disk_bytes(), network_bytes()
            machine = Reading(
                source=MACHINE,
                scope="host",
                utilisation=utilisation,
                memory_used_bytes=memory.total - memory.available,
                disk_read_bytes=disks.received,
                disk_written_bytes=disks.sent,
                network_sent_bytes=network.sent,
                network_received_bytes=network.received,
            )
        except (OSError, psutil.Error) as error:
            raise MeterUnavailableError(f"host: {error}") from error
        sizes = [size for process in self._measured if (size := _rss(process))]
        rss_bytes = sum(sizes) if sizes else None
        if rss_bytes is None and own is None:
            return [machine]
        return [machine, Reading(source=PROCESSES, scope="host", utilisation=own, memory_used_bytes=rss_bytes)]

    def _utilisations(self) -> tuple[float | None, float | None]:
        """Shares of all cores' time since the last call, 0..1: of everybody, and of the case's own processes.

        None where that was just now; the second also where some of the processes were not known then, or nobody is
        left.
        """
        now_s = self._clock()
        passed_s = now_s - self._since_s
        if passed_s < SHORTEST_S:
            return None, None
        busy = float(psutil.cpu_percent(interval=None)) / 100
        before_s, self._own_s, self._since_s = self._own_s, _processor_s(self._tree), now_s
        if before_s is None or self._own_s is None or self._own_s < before_s:
            return busy, None
        return busy, min(1.0, (self._own_s - before_s) / (passed_s * (psutil.cpu_count() or 1)))

    def _look_for_descendants(self) -> None:
        now_s = self._clock()
        if now_s >= self._tree_due_s:
            tree = _descendants(sorted(self._roots, key=self._roots.__getitem__))
            self._tree = list(tree.values())
            self._measured = [tree[pid] for pid in _below({pid for pid, memory in self._roots.items() if memory}, tree)]
            self._tree_due_s = now_s + TREE_PERIOD_S


def _descendants(roots: Sequence[int]) -> dict[int, psutil.Process]:
    """The living processes of the trees by number. A root inside an earlier one's tree costs no search of its own."""
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        if pid in found:
            continue
        try:
            root = psutil.Process(pid)
            found |= {process.pid: process for process in [root, *root.children(recursive=True)]}
        except psutil.Error:
            continue  # it has ended; the others are still counted
    return found


def _below(roots: set[int], tree: dict[int, psutil.Process]) -> list[int]:
    """Those of a tree that are one of the roots or descend from one."""
    parents = {pid: _parent(process) for pid, process in tree.items()}

    def descends(pid: int | None) -> bool:
        while pid is not None and pid not in roots:
            pid = parents.get(pid)
        return pid is not None

    return [pid for pid in tree if descends(pid)]


def _parent(process: psutil.Process) -> int | None:
    try:
        return int(process.ppid())
    except psutil.Error:
        return None


def _processor_s(processes: Sequence[psutil.Process]) -> float | None:
    """Processor seconds of these and of the children they have seen end; None when nobody is left."""
    told: list[float] = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            told.append(times.user + times.system + times.children_user + times.children_system)
    return sum(told) if told else None


def _rss(process: psutil.Process) -> int:
    """Resident bytes; 0 for a process that has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
