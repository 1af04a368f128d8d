"""Devices through MindSpore: Ascend's NPUs, and the host's processor."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from hardware.base import DeviceEvent, MemoryPeaks, PrecisionUnsupportedError
from hardware.precision.float32 import require_mode
from hardware.runtimes.mindspore_ranks import meet
from hardware.runtimes.runtime import RuntimeDevice
from hardware.stacks.host import HostEvent

MILLISECONDS = 1e3


class StreamEvent:
    """A mark in the order of a device's own work, by MindSpore's timing events."""

    __slots__ = ("own",)

    def __init__(self) -> None:
        from mindspore import runtime

        self.own = runtime.Event(enable_timing=True)

    def record(self) -> None:
        """Set the mark behind what was submitted to the current stream."""
        self.own.record()


class MindsporeDevice(RuntimeDevice):
    """The devices of one type. Calls return before their work is done, on the host's processor as well.

    There MindSpore holds at most one step back: a call returns when the step before is done. Its way to ask for one
    result waits for everything that was submitted, so that no thread can stamp results while others are computed; steps
    are timed by the host's clock as calls return, segments between edges that wait for all of it.
    """

    runtime = "mindspore"
    packages = ("mindspore",)
    host_kind = "CPU"

    @property
    def asynchronous(self) -> bool:
        """Whether a thread must wait for results: never, see above."""
        return False

    def times_on_device(self) -> bool:
        """By its events; the host's processor has none."""
        return not self.on_host

    def start(self) -> None:
        """Compute on this rank's device, operator by operator where nothing is compiled; find the other ranks."""
        # Where a program cannot be compiled, MindSpore writes down why; by default into the working directory.
        os.environ.setdefault("MS_OM_PATH", tempfile.gettempdir())
        import mindspore

        mindspore.set_device(self.kind, None if self.on_host else self.local_rank())
        mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
        if (world := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
            meet(int(os.environ["RANK"]), world)

    def visible(self) -> int:
        """Devices of this type."""
        import mindspore

        return int(mindspore.hal.device_count(self.kind))

    def wait(self, result: Any) -> None:
        """Block until a tensor is there."""
        result.asnumpy()

    def settle(self) -> None:
        """Wait for everything that was submitted.

        On the host's processor MindSpore's own function does nothing when it is called for the first time; what is
        computed last is read instead, behind all the rest.
        """
        import mindspore

        if self.on_host:
            (mindspore.Tensor(0.0) + 1.0).asnumpy()
        else:
            mindspore.runtime.synchronize()

    def event(self) -> DeviceEvent:
        """A mark on the device, or on the host's clock."""
        return HostEvent() if self.on_host else StreamEvent()

    def elapsed_s(self, start: DeviceEvent, end: DeviceEvent) -> float:
        """Seconds between two marks."""
        if isinstance(start, StreamEvent) and isinstance(end, StreamEvent):
            return float(start.own.elapsed_time(end.own)) / MILLISECONDS
        return super().elapsed_s(start, end)

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products and convolutions in IEEE single precision, without HF32 or float16 in between.

        Raises:
            PrecisionUnsupportedError: TF32, which none of these devices has, or a switch that MindSpore does not take.
        """
        require_mode(mode)
        if mode == "tf32":
            raise PrecisionUnsupportedError(f"{self.spec.title}: {self.reached_through} has no TF32")
        if self.on_host:
            return
        from mindspore.device_context.ascend import op_precision

        try:
            op_precision.precision_mode("must_keep_origin_dtype")
            op_precision.matmul_allow_hf32(False)
            op_precision.conv_allow_hf32(False)
        except (RuntimeError, ValueError) as error:
            raise PrecisionUnsupportedError(f"{self.spec.title}: cannot keep float32 as it is: {error}") from error

    def memory_peaks(self) -> MemoryPeaks:
        """Of MindSpore's memory pool; the host's processor has none."""
        import mindspore

        allocated = 0 if self.on_host else int(mindspore.runtime.max_memory_allocated())
        if not allocated:
            return super().memory_peaks()
        return MemoryPeaks(allocated_bytes=allocated, reserved_bytes=int(mindspore.runtime.max_memory_reserved()))

    def reset_memory_peaks(self) -> None:
        """Start the pool's peaks afresh."""
        import mindspore

        if not self.on_host:
            mindspore.runtime.reset_peak_memory_stats()

    def seed(self, seed: int) -> None:
        """MindSpore's generators beside the host's."""
        import mindspore

        super().seed(seed)
        mindspore.set_seed(seed)

    def device_name(self, index: int) -> str:
        """The chip as MindSpore names it."""
        import mindspore

        return str(mindspore.hal.get_device_name(index, self.kind))

    def versions(self) -> dict[str, str]:
        """How steps are timed, said for what it is."""
        timing = "MindSpore's timing events on the device"
        if self.on_host:
            timing = "the host's clock as calls return: each when the step before is done"
        return super().versions() | {"timing": timing}
