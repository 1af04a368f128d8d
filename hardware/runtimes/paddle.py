"""Devices through Paddle: GPUs, Kunlunxin's XPUs, custom devices of plug-ins, and the host's processor."""

from __future__ import annotations

import os
from operator import attrgetter
from typing import Any

from hardware.base import DeviceEvent, MemoryPeaks, PrecisionUnsupportedError
from hardware.precision.float32 import require_mode
from hardware.runtimes.runtime import RuntimeDevice

MILLISECONDS = 1e3
MATMUL_VARIABLES: dict[str, dict[str, dict[str, str]]] = {
    # Paddle, paddle/phi/kernels/xpu/xpu_api_wrapper.h: without it float32 is multiplied as 16-bit integers.
    "xpu": {"ieee": {"XPU_PADDLE_FC_LOCAL_INT16": "1"}},
    # PaddleCustomDevice, backends/mlu/README.md: TF32 unless told otherwise, on the chips that have it.
    "mlu": {"ieee": {"PADDLE_MLU_ALLOW_TF32": "false"}, "tf32": {"PADDLE_MLU_ALLOW_TF32": "true"}},
}
"""Per type of device and mode, the environment variables that its kernels read."""
ABSENT = (AttributeError, NameError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What builds of Paddle raise where a device lacks something."""


class PaddleEvent:
    """A mark of the device's own clock."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        import paddle

        self._event = paddle.device.Event(enable_timing=True)

    def record(self) -> None:
        """Set the mark after the work submitted so far."""
        self._event.record()

    def seconds_until(self, end: PaddleEvent) -> float:
        """Seconds from this mark to `end`; both must be reached."""
        return float(self._event.elapsed_time(end._event)) / MILLISECONDS


class PaddleDevice(RuntimeDevice):
    """The devices of one type; work is asynchronous on all but the host's processor.

    Plug-ins' devices have no events that take the time (`CustomDeviceEvent`, Paddle 3.3.1). A thread could not stand in
    for them: Paddle's way to wait for one tensor waits for all that was submitted until it is asked, later steps too.
    Single steps are then not timed; segments are, between edges that wait for everything.
    """

    runtime = "paddle"
    packages = ("paddle",)
    host_kind = "cpu"
    timing_events = False
    """Whether the device has events that take the time."""

    def start(self) -> None:
        """Compute on this rank's device; see whether it has events that take the time."""
        import paddle

        paddle.set_device(self.own())
        self.watch = None
        self.timing_events = self.asynchronous and self._times_events()

    def own(self) -> str:
        """The device that this rank computes on, as `paddle.set_device` takes it."""
        return self.kind if self.on_host else f"{self.kind}:{self.local_rank()}"

    def visible(self) -> int:
        """Devices of this type; a type with one device is listed without a number."""
        import paddle

        names = {*paddle.device.get_available_device(), *(paddle.device.get_available_custom_device() or ())}
        return sum(name.split(":")[0] == self.kind for name in names)

    # --- work -------------------------------------------------------------------------------------------------

    def wait(self, result: Any) -> None:
        """Block until a tensor is there: its copy to the host comes after its making."""
        result.numpy()

    def settle(self) -> None:
        """Wait for everything on this rank's device; on the host's processor a call returns when its work is done."""
        if self.on_host:
            return
        import paddle

        paddle.device.synchronize(self.own())

    def times_on_device(self) -> bool:
        """By its events; on the host's processor a call returns when its work is done."""
        return self.timing_events or not self.asynchronous

    def event(self) -> DeviceEvent:
        """The device's own mark, where it has such; else the host's."""
        return PaddleEvent() if self.timing_events else super().event()

    def elapsed_s(self, start: DeviceEvent, end: DeviceEvent) -> float:
        """Seconds between two marks."""
        if isinstance(start, PaddleEvent) and isinstance(end, PaddleEvent):
            return start.seconds_until(end)
        return super().elapsed_s(start, end)

    def _times_events(self) -> bool:
        try:
            first, second = PaddleEvent(), PaddleEvent()
            first.record()
            second.record()
            self.settle()
            return first.seconds_until(second) >= 0
        except ABSENT:
            return False

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products and convolutions as `mode`; Paddle takes TF32 on GPUs unless it is told not to.

        Raises:
            PrecisionUnsupportedError: TF32, where Paddle has no switch for it, or a switch that keeps its place.
        """
        require_mode(mode)
        if not self.on_host and self.kind == "gpu":
            self._switch_tf32(mode == "tf32")
            return
        variables = {} if self.on_host else MATMUL_VARIABLES.get(self.kind, {}).get(mode, {})
        if mode == "tf32" and not variables:
            raise PrecisionUnsupportedError(f"{self.spec.title}: {self.reached_through} has no switch for TF32")
        os.environ.update(variables)

    def _switch_tf32(self, allowed: bool) -> None:
        from paddle.base import core

        for library in ("cublas", "cudnn"):
            getattr(core, f"set_{library}_switch")(allowed)
            if bool(getattr(core, f"get_{library}_switch")()) is not allowed:
                raise PrecisionUnsupportedError(
                    f"{self.spec.title}: Paddle's switch for TF32 in {library} cannot be set to {allowed}"
                )

    def seed(self, seed: int) -> None:
        """Paddle's generators, for dropout, beside the host's."""
        import paddle

        super().seed(seed)
        paddle.seed(seed)

    # --- memory, names, versions ------------------------------------------------------------------------------

    def memory_peaks(self) -> MemoryPeaks:
        """Peaks of Paddle's allocator; one of 0 bytes is a statistic that nobody keeps."""
        if self.on_host:
            return super().memory_peaks()
        import paddle

        try:
            allocated = int(paddle.device.max_memory_allocated(self.own()))
            reserved = int(paddle.device.max_memory_reserved(self.own()))
        except ABSENT as error:
            reason = f"Paddle tells no peaks of {self.kind}: {error}"
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=reason)
        if not allocated:
            return super().memory_peaks()
        partly = None if reserved else "Paddle's allocator keeps no peak of what it reserves"
        return MemoryPeaks(allocated_bytes=allocated, reserved_bytes=reserved or None, reason=partly)

    def reset_memory_peaks(self) -> None:
        """Start the peaks afresh."""
        if self.on_host:
            return
        import paddle

        try:
            paddle.device.reset_max_memory_allocated(self.own())
            paddle.device.reset_max_memory_reserved(self.own())
        except ABSENT:
            return  # `memory_peaks` says why there are none

    def device_name(self, index: int) -> str:
        """The chip as Paddle names it; the type of device where it names none."""
        import paddle

        try:
            return str(paddle.device.get_device_name(f"{self.kind}:{index}")) or self.kind
        except ABSENT:
            return self.kind

    def versions(self) -> dict[str, str]:
        """As of every runtime; a vendor's build of Paddle is often installed under a name of its own."""
        told = super().versions()
        if self.asynchronous:
            clock = "host clock: the device has no timing events"
            told["timing"] = "events of the device, by Paddle" if self.timing_events else clock
        try:
            import paddle
        except ImportError:
            return told
        return told | {"paddle": str(paddle.__version__)} | ({} if self.on_host else cuda_libraries(paddle))


def cuda_libraries(paddle: Any) -> dict[str, str]:
    """CUDA that this Paddle was built for, and cuDNN that it has loaded; what it does not tell is left out."""
    told = {}
    for name, place in (("cuda", "version.cuda"), ("cudnn", "device.get_cudnn_version")):
        try:
            found = attrgetter(place)(paddle)()
        except ABSENT:
            continue
        if found and str(found) != "False":  # so says a build without CUDA
            told[name] = str(found)
    return told
