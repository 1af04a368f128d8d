"""What all stacks share that show their devices in torch's `cuda` namespace."""

from __future__ import annotations

import os
import re
import stat
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware.base import Device, DeviceIdentity, Event, HardwareUnavailableError, MemoryPeaks
from hardware.host import seed_host
from hardware.precision import build_plugin, require_listed
from hardware.spec import PrecisionSpec
from hardware.strategy import build_strategy

if TYPE_CHECKING:
    import torch

_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]", re.IGNORECASE)


class TorchCudaDevice(Device):
    """Devices reached through `torch.cuda`, whoever made them."""

    def connect(self) -> None:
        """Start the runtime and wait for an empty queue, so that a stack that does not work says so here.

        Raises:
            HardwareUnavailableError: with what the runtime answered.
        """
        import torch

        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
            visible = torch.cuda.device_count()
            if visible:
                torch.cuda.synchronize()
        except (RuntimeError, AssertionError, AttributeError) as error:
            raise HardwareUnavailableError(
                f"{self.spec.title}: torch {torch.__version__} cannot use it: {error}. {self.spec.install}"
            ) from error
        if not visible:
            raise HardwareUnavailableError(
                f"{self.spec.title}: torch {torch.__version__} sees no device ({self._visibility()}). "
                f"{self.spec.install}"
            )

    def _visibility(self) -> str:
        variable = self.spec.visible_devices_env
        if variable is None:
            return "no variable limits which ones"
        value = os.environ.get(variable)
        return f"{variable} is not set" if value is None else f"{variable}={value}"

    def accelerator(self) -> Any:
        """Lightning's CUDA accelerator."""
        return "cuda"

    def strategy(self, devices: int) -> Any:
        """One device, or data parallel over the vendor's communication library.

        Raises:
            RuntimeError: several ranks that torchrun did not start.
        """
        return build_strategy(devices, backend=self.communication_backend(), device=self.torch_device(0))

    def communication_backend(self) -> str:
        """torch.distributed's name of the communication library."""
        return self.spec.communication_backend

    def count(self) -> int:
        """Number of visible devices."""
        import torch

        return torch.cuda.device_count()

    def torch_device(self, index: int) -> torch.device:
        """`cuda:<index>`."""
        import torch

        return torch.device("cuda", index)

    def synchronize(self) -> None:
        """Wait for all streams of the current device."""
        import torch

        torch.cuda.synchronize()

    def event(self) -> Event:
        """A timing event of the current stream."""
        import torch

        event: Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        return event

    def elapsed_s(self, start: Event, end: Event) -> float:
        """Seconds of device time between two recorded events (CUDA counts milliseconds)."""
        return float(start.elapsed_time(end)) / 1000.0  # type: ignore[attr-defined]

    def memory_peaks(self) -> MemoryPeaks:
        """Peaks of torch's caching allocator on the current device."""
        import torch

        try:
            stats: dict[str, Any] = dict(torch.cuda.memory_stats())
        except (RuntimeError, AttributeError, NotImplementedError) as error:
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=f"no allocator statistics: {error}")
        allocated, reserved = stats.get("allocated_bytes.all.peak"), stats.get("reserved_bytes.all.peak")
        reason = None if None not in (allocated, reserved) else "the allocator keeps no peaks"
        return MemoryPeaks(allocated_bytes=allocated, reserved_bytes=reserved, reason=reason)

    def reset_memory_peaks(self) -> None:
        """Start the allocator's peaks afresh."""
        import torch

        torch.cuda.reset_peak_memory_stats()

    def seed(self, seed: int) -> None:
        """Seed Python, NumPy, torch and every visible device."""
        seed_host(seed)

    def precision_plugin(self, precision: PrecisionSpec) -> Any:
        """Lightning's precision plugin for `precision`.

        Raises:
            PrecisionUnsupportedError: not listed for this vendor, or the visible chips cannot do it.
        """
        require_listed(precision, self.spec)
        self.require_chip(precision)
        return build_plugin(precision, device_type="cuda", make_scaler=self.make_scaler)

    @abstractmethod
    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse what the visible chips cannot do.

        Raises:
            PrecisionUnsupportedError: names the chip and what it lacks.
        """

    def make_scaler(self, enabled: bool) -> Any:
        """The gradient scaler of mixed precision in float16."""
        import torch

        return torch.amp.GradScaler("cuda", enabled=enabled)

    def identities(self) -> list[DeviceIdentity]:
        """The visible devices, in local index order."""
        return [self._identity(index) for index in range(self.count())]

    def _identity(self, index: int) -> DeviceIdentity:
        import torch

        properties = torch.cuda.get_device_properties(index)
        uuid = getattr(properties, "uuid", None)
        return DeviceIdentity(
            index=index,
            uuid=None if uuid is None else self.normalise_uuid(str(uuid), index),
            pci_bus_id=pci_address(properties),
            name=self.chip_name(index),
        )

    def normalise_uuid(self, uuid: str, index: int) -> str:
        """The UUID as the vendor's own tools write it."""
        return uuid

    def chip_name(self, index: int) -> str:
        """The chip as the driver names it."""
        import torch

        return torch.cuda.get_device_name(index)


def pci_address(properties: Any) -> str | None:
    """`0000:3b:00.0` from torch's device properties; null on versions of torch that do not tell (before 2.8)."""
    parts = [getattr(properties, name, None) for name in ("pci_domain_id", "pci_bus_id", "pci_device_id")]
    if any(part is None for part in parts) or not any(parts):  # 0000:00:00.0 is the host bridge, never an accelerator
        return None
    domain, bus, device = parts
    return f"{domain:04x}:{bus:02x}:{device:02x}.0"


def pci_address_of_node(node: Path, sys_root: Path = Path("/sys")) -> str | None:
    """PCI address of a character device such as `/dev/xpu0`, from the kernel; null where its driver links none."""
    try:
        status = node.stat()
    except OSError:
        return None
    if not stat.S_ISCHR(status.st_mode):
        return None
    link = sys_root / f"dev/char/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}/device"
    name = link.resolve().name if link.exists() else ""
    return name.lower() if _PCI_ADDRESS.fullmatch(name) else None
