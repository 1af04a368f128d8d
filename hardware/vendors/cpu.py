"""The host processor, through PyTorch's own CPU back-end."""

from __future__ import annotations

import importlib.util
import os
import re
from typing import TYPE_CHECKING, Any

from hardware.base import Device, DeviceCondition, DeviceEvent, DeviceIdentity, MemoryPeaks, PrecisionUnsupportedError
from hardware.layout import MeshLayout
from hardware.precision.float32 import require_mode, set_cpu_ieee
from hardware.precision.plugins import build_plugin, require_listed
from hardware.spec import PrecisionSpec
from hardware.stacks.host import HostEvent, cpu_name, host_condition, keep_freed_memory, seed_host
from hardware.stacks.strategy import build_strategy

if TYPE_CHECKING:
    import torch

_LIBRARIES = {"mkl": r"Math Kernel Library Version (\S+)", "onednn": r"MKL-DNN v(\S+)", "openmp": r"OpenMP (\d+)"}
"""What `torch.__config__.show()` says of the libraries that do the work."""


class Cpu(Device):
    """The host's processors; several ranks share them."""

    _keeps_freed_memory = False

    def unavailable_reason(self) -> str | None:
        """None wherever PyTorch is installed."""
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed; install the project's dependencies"
        return None

    def connect(self) -> None:
        """Settle how the host's allocator behaves; the rest is always there."""
        self._keeps_freed_memory = keep_freed_memory()

    def accelerator(self) -> Any:
        """Lightning's CPU accelerator."""
        return "cpu"

    def strategy(self, devices: int, layout: MeshLayout | None = None) -> Any:
        """One process, or data parallel or sharded over gloo with ranks that share the processor.

        Raises:
            RuntimeError: several ranks that torchrun did not start.
        """
        backend = self.communication_backend()
        return build_strategy(devices, backend=backend, device=self.torch_device(0), layout=layout)

    def count(self) -> int:
        """As many as ranks were started on this host, which share the processor; one without a launcher."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))

    def torch_device(self, index: int) -> torch.device:
        """The CPU, whatever the index: ranks share it."""
        import torch

        return torch.device("cpu")

    def synchronize(self) -> None:
        """Nothing to wait for: work is done when the call returns."""

    def event(self) -> DeviceEvent:
        """A mark on the host's clock."""
        return HostEvent()

    def elapsed_s(self, start: DeviceEvent, end: DeviceEvent) -> float:
        """Seconds between two marks of the host's clock."""
        assert isinstance(start, HostEvent) and isinstance(end, HostEvent)
        return start.seconds_until(end)

    def memory_peaks(self) -> MemoryPeaks:
        """None: PyTorch's CPU allocator keeps no peaks."""
        reason = "PyTorch's CPU allocator keeps no peaks; memory/host_peak_rss_gib holds what the processes used"
        return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=reason)

    def reset_memory_peaks(self) -> None:
        """Nothing to reset."""

    def seed(self, seed: int) -> None:
        """Seed Python, NumPy and torch."""
        seed_host(seed)

    def precision_plugin(self, precision: PrecisionSpec) -> Any:
        """Lightning's precision plugin for `precision`.

        Raises:
            PrecisionUnsupportedError: not listed for this vendor, or a CPU cannot do it.
        """
        import torch

        require_listed(precision, self.spec)
        self._require_ieee(precision.matmul)

        def make_scaler(enabled: bool) -> Any:
            return torch.amp.GradScaler("cpu", enabled=enabled)

        return build_plugin(precision, device_type="cpu", make_scaler=make_scaler)

    def set_matmul(self, mode: str) -> None:
        """Switch oneDNN's reduced-precision short cuts off.

        Raises:
            PrecisionUnsupportedError: `tf32`, which a CPU does not have.
        """
        self._require_ieee(mode)
        set_cpu_ieee()

    def _require_ieee(self, mode: str) -> None:
        require_mode(mode)
        if mode != "ieee":
            raise PrecisionUnsupportedError(
                f"{self.title}: a CPU multiplies float32 matrices as ieee, it has no {mode}"
            )

    @property
    def title(self) -> str:
        """What messages call this device."""
        return self.spec.title

    def identities(self) -> list[DeviceIdentity]:
        """The processor, once, without UUID and PCI address."""
        return [DeviceIdentity(index=0, uuid=None, pci_bus_id=None, name=cpu_name())]

    def versions(self) -> dict[str, str]:
        """Instruction set, threads, allocator, and the libraries torch was built with."""
        import torch

        built = torch.__config__.show()
        found = {name: re.search(pattern, built) for name, pattern in _LIBRARIES.items()}
        libraries = {name: match.group(1) for name, match in found.items() if match}
        capability = torch.backends.cpu.get_cpu_capability()
        allocator = "freed memory is kept" if self._keeps_freed_memory else "the C library's own settings"
        told = {"cpu_capability": capability, "threads": str(torch.get_num_threads()), "allocator": allocator}
        return told | libraries

    def pins_memory(self) -> bool:
        """No: nothing is copied to a device."""
        return False

    def listed(self) -> list[DeviceIdentity]:
        """The processor: the kernel names it."""
        return self.identities()

    def condition(self, identity: DeviceIdentity) -> DeviceCondition:
        """Who else uses the processors at this moment, their governor, boost and power limit."""
        return host_condition()
