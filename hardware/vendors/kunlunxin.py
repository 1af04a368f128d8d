"""Kunlunxin XPUs through torch_xmlir, which presents them in torch's `cuda` namespace.

Two generations of that stack are known. The one FlagPerf used (training/kunlunxin) adds its own synchronisation
(`torch_xmlir.xpu.xpu_synchronize`), seeding and gradient scaler; later ones leave `torch.cuda` as it is, on a CUDA
runtime of their own, and offer the communication library under the name `nccl`. Each is taken as it is found.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hardware.base import DeviceIdentity, Event, HardwareUnavailableError, MemoryPeaks, PrecisionUnsupportedError
from hardware.float32 import require_mode, set_cuda_mode
from hardware.host import HostEvent
from hardware.nodes import existing
from hardware.spec import PrecisionSpec
from hardware.torch_cuda import TorchCudaDevice, pci_address_of_node

_EMULATE = "`emulate=true scale=tiny` tries the configuration out on the host CPU"
_NAMELESS = frozenset({"", "gpu"})
"""What the CUDA runtime of some versions answers instead of a chip's name."""

DEVICE_NODES = ("/dev/xpu[0-9]*",)
"""What the driver makes, as glob patterns; `hardware.detect` looks for them."""


class Kunlunxin(TorchCudaDevice):
    """The XPUs that `XPU_VISIBLE_DEVICES` shows this process."""

    device_root = Path("/")
    _timing_events = True

    def unavailable_reason(self) -> str | None:
        """Names each of driver, PyTorch and torch_xmlir that is missing."""
        missing = []
        if not existing(DEVICE_NODES, self.device_root):
            missing.append("no XPU (/dev/xpu0, /dev/xpu1, …: the driver makes them)")
        missing += [
            f"no Python package {name}" for name in ("torch", "torch_xmlir") if importlib.util.find_spec(name) is None
        ]
        if not missing:
            return None
        lack = " and ".join(missing)
        return f"{self.spec.title} cannot be used here: {lack}. {self.spec.install} Without one, {_EMULATE}."

    def connect(self) -> None:
        """Import torch_xmlir and start its runtime.

        Raises:
            HardwareUnavailableError: with what is missing, or what the stack answered.
        """
        if reason := self.unavailable_reason():
            raise HardwareUnavailableError(reason)
        # Lets torch_xmlir register in place of the CUDA runtime (FlagPerf, training/kunlunxin); read at import.
        os.environ.setdefault("CUDART_DUMMY_REGISTER", "1")
        try:
            importlib.import_module("torch_xmlir")
        except (ImportError, OSError, RuntimeError) as error:
            raise HardwareUnavailableError(
                f"torch_xmlir is installed but does not load: {error}. Is the driver the one it was built for? "
                f"{self.spec.install} Meanwhile, {_EMULATE}."
            ) from error
        super().connect()
        self._timing_events = self._events_work()

    def _events_work(self) -> bool:
        try:
            start, end = super().event(), super().event()
            start.record()
            end.record()
            self.synchronize()
            return super().elapsed_s(start, end) >= 0
        except (RuntimeError, AttributeError, NotImplementedError):
            return False

    def _own(self, path: str) -> Any:
        """`torch_xmlir.<path>`, or null on a generation of the stack that has no such thing."""
        try:
            found: Any = importlib.import_module("torch_xmlir")
            for name in path.split("."):
                package = found.__name__
                found = getattr(found, name, None) or importlib.import_module(f"{package}.{name}")
        except ImportError:
            return None
        return found

    def communication_backend(self) -> str:
        """The configured one; `nccl` where the stack offers its library under that name alone."""
        from torch import distributed

        configured = self.spec.communication_backend
        if distributed.is_backend_available(configured) or not distributed.is_backend_available("nccl"):
            return configured
        return "nccl"

    def synchronize(self) -> None:
        """Wait for the current XPU."""
        wait = self._own("xpu.xpu_synchronize")
        if wait is not None:
            wait()
        else:
            super().synchronize()

    def event(self) -> Event:
        """A timing event, or a mark on the host's clock where the stack has none (`versions` says which)."""
        return super().event() if self._timing_events else HostEvent()

    def elapsed_s(self, start: Event, end: Event) -> float:
        """Seconds between two events."""
        if isinstance(start, HostEvent) and isinstance(end, HostEvent):
            return start.seconds_until(end)
        return super().elapsed_s(start, end)

    def memory_peaks(self) -> MemoryPeaks:
        """The allocator's peaks; a peak of 0 bytes is a statistic that nobody keeps, not a measurement."""
        peaks = super().memory_peaks()
        if peaks.reason is None and not peaks.allocated_bytes:
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason="the stack's allocator counts nothing")
        return peaks

    def seed(self, seed: int) -> None:
        """Seed the host, torch and the XPUs."""
        super().seed(seed)
        seed_devices = self._own("xpu.manual_seed_all")
        if seed_devices is not None:
            seed_devices(seed)

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Nothing is known beyond the vendor's list: the probe measures what really runs."""

    def make_scaler(self, enabled: bool) -> Any:
        """The stack's own gradient scaler; torch's where it brings none or torch's works on the XPU."""
        import torch

        scaler = super().make_scaler(enabled)
        if not enabled:
            return scaler
        try:
            if scaler.is_enabled() and bool(torch.isfinite(scaler.scale(torch.ones(1, device=self.torch_device(0))))):
                return scaler
        except (RuntimeError, NotImplementedError, AssertionError):
            pass  # torch's scaler does not know this device: the stack's own is the one made for it
        own = self._own("amp.GradScaler")
        return scaler if own is None else own(enabled=True)

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products in IEEE single precision.

        Raises:
            PrecisionUnsupportedError: `tf32`; the stack has no such switch.
        """
        require_mode(mode)
        if mode == "tf32":
            raise PrecisionUnsupportedError(f"{self.spec.title}: torch_xmlir has no switch for TF32")
        set_cuda_mode(mode)

    def chip_name(self, index: int) -> str:
        """The chip as the stack names it; `vendor.chip=` gives the catalogue's name where that says too little."""
        name = super().chip_name(index)
        own = self._own("xpu.get_device_name")
        return str(own(index)) if own is not None and name.strip().lower() in _NAMELESS else name

    def identities(self) -> list[DeviceIdentity]:
        """The visible XPUs; the PCI address comes from the device node where torch does not tell it."""
        nodes = self._visible_nodes()
        return [
            replace(one, pci_bus_id=pci_address_of_node(nodes[one.index]))
            if one.pci_bus_id is None and one.index < len(nodes)
            else one
            for one in super().identities()
        ]

    def _visible_nodes(self) -> list[Path]:
        """Device nodes by local index; empty when the visible ones are not given as plain numbers."""
        nodes = (node.name.removeprefix("xpu") for node in existing(DEVICE_NODES, self.device_root))
        numbers = [int(number) for number in nodes if number.isdigit()]
        shown = os.environ.get(self.spec.visible_devices_env or "")
        chosen = (
            sorted(numbers) if shown is None else [int(part) for part in shown.split(",") if part.strip().isdigit()]
        )
        return [self.device_root / f"dev/xpu{number}" for number in chosen]

    def versions(self) -> dict[str, str]:
        """torch_xmlir's version, what communicates, what times, and whether it compiles."""
        import torch

        found = {"timing": "device events" if self._timing_events else "host clock: the stack has no timing events"}
        found["communication"] = self.communication_backend()
        if str(torch.compile.__module__).partition(".")[0] == "torch_xmlir":
            # Later versions replace it by a decorator that does nothing, unless XMLIR_ENABLE_MOCK_TORCH_COMPILE=false.
            found["torch.compile"] = "replaced by torch_xmlir; models may run uncompiled"
        version = self._own("__version__")
        return found if version is None else found | {"torch_xmlir": str(version)}
