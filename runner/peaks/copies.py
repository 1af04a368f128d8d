"""Copies between host and device, with page-locked (pinned) and ordinary (pageable) host memory, each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.measure.ranks import UnmeasurableError
from runner.peaks.measure import Bench, Work, measure
from runner.peaks.memory import MIB, fill, require_equal
from runner.record.peaks.peak_figures import COPIES, GIGA, Peak, unit

if TYPE_CHECKING:
    import torch

SIZE_MIB = 1024
"""Far beyond the host's caches on most machines, and long enough for the start of a copy not to count."""


def measure_copy(name: str, bench: Bench) -> dict[str, Peak]:
    """Bytes per second of one direction from or to one kind of host memory, per device, all devices at a time.

    Raises:
        UnmeasurableError: there is no device to copy to, or host memory cannot be page-locked.
    """
    if bench.on_host:
        raise UnmeasurableError("there is no device to copy to: the processor works in the host's own memory")
    direction, memory = COPIES[name]
    size = SIZE_MIB * MIB

    def build() -> Work:
        import torch

        host = host_memory(size // 4, pinned=memory == "pinned")
        on_device = torch.zeros(size // 4, dtype=torch.float32, device=bench.torch_device)
        source, target = (host, on_device) if direction == "host_to_device" else (on_device, host)
        fill(source)
        asynchronous = memory == "pinned"
        target.copy_(source, non_blocking=asynchronous)
        bench.device.synchronize()
        require_equal(source, target)
        return Work(call=lambda: target.copy_(source, non_blocking=asynchronous), amount=float(size))

    work = bench.ranks.attempt(build)
    conditions = {"bytes": size, "convention": "bytes copied, one direction at a time", "host_memory": memory}
    return {name: measure(work, bench).peak(unit(name), scale=GIGA, conditions=conditions)}


def host_memory(elements: int, *, pinned: bool) -> torch.Tensor:
    """A float32 array on the host whose pages are there.

    Raises:
        UnmeasurableError: the stack did not page-lock it although it was asked to, or did so without.
    """
    import torch

    host = torch.empty(elements, dtype=torch.float32, pin_memory=pinned)
    host.zero_()
    if host.is_pinned() != pinned:
        raise UnmeasurableError(f"the host memory is {'not ' if pinned else ''}page-locked")
    return host
