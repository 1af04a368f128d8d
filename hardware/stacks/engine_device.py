"""Chips that PyTorch cannot reach: everything runs through the vendor's inference engine, which compiles models.

Inputs and outputs lie on the host, where the engine takes and leaves them; its own calls copy and wait.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from hardware.base import Device, DeviceEvent, DeviceIdentity, HardwareUnavailableError, MemoryPeaks
from hardware.bus.nodes import existing, node_number
from hardware.bus.pci import pci_address_of_node
from hardware.layout import MeshLayout
from hardware.packages import installed_version
from hardware.precision.float32 import require_mode
from hardware.spec import PrecisionSpec
from hardware.stacks.host import HostEvent, seed_host

if TYPE_CHECKING:
    import torch


class EngineDevice(Device):
    """A vendor whose chips take compiled models only: found and named here for its engine, never trained on."""

    runs_torch: ClassVar[bool] = False
    nodes: ClassVar[tuple[str, ...]] = ()
    """Glob patterns of what the driver makes; empty where no public source names it."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Python packages of the inference engine."""
    commands: ClassVar[tuple[str, ...]] = ()
    """Command line tools of the inference engine."""
    engine: ClassVar[str]
    """What the inference engine is called."""

    device_root = Path("/")

    @property
    def reached_through(self) -> str:
        """The inference engine."""
        return f"{self.engine} alone"

    def unavailable_reason(self) -> str | None:
        """Names each of device node, Python package and command that is missing."""
        missing = []
        if self.nodes and not self.found_nodes():
            missing.append(f"no device ({', '.join(self.nodes)}: the driver makes them)")
        missing += [f"no Python package {name}" for name in self.packages if importlib.util.find_spec(name) is None]
        missing += [f"no command {name}" for name in self.commands if shutil.which(name) is None]
        return " and ".join(missing) or None

    def found_nodes(self) -> list[Path]:
        """The driver's device nodes that are here."""
        return existing(self.nodes, self.device_root)

    def connect(self) -> None:
        """See that everything is here; the engine takes the device when it compiles or loads a model.

        Raises:
            HardwareUnavailableError: says what is missing.
        """
        if reason := self.unavailable_reason():
            raise HardwareUnavailableError(f"{self.spec.title}: {reason}. {self.spec.install}")

    def _refuse(self) -> NoReturn:
        raise HardwareUnavailableError(
            f"{self.spec.title} is reached through {self.engine} alone, for inference; PyTorch cannot use it"
        )

    def accelerator(self) -> Any:
        """None; refuses."""
        self._refuse()

    def strategy(self, devices: int, layout: MeshLayout | None = None) -> Any:
        """None; refuses."""
        self._refuse()

    def count(self) -> int:
        """Number of devices that are known to be here."""
        return len(self.identities())

    def torch_device(self, index: int) -> torch.device:
        """The host: inputs and outputs lie there."""
        import torch

        return torch.device("cpu")

    def synchronize(self) -> None:
        """Nothing to wait for here: the engine's own calls wait."""

    def event(self) -> DeviceEvent:
        """A mark on the host's clock."""
        return HostEvent()

    def elapsed_s(self, start: DeviceEvent, end: DeviceEvent) -> float:
        """Seconds between two marks of the host's clock."""
        assert isinstance(start, HostEvent) and isinstance(end, HostEvent)
        return start.seconds_until(end)

    def times_on_device(self) -> bool:
        """No: the engine gives no marks of the device's own work."""
        return False

    def pins_memory(self) -> bool:
        """No: the engine copies."""
        return False

    def memory_peaks(self) -> MemoryPeaks:
        """None: the engine's memory is not torch's."""
        reason = f"{self.engine} tells no peaks; memory/device_peak_used_gib is the meter's"
        return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=reason)

    def reset_memory_peaks(self) -> None:
        """Nothing to reset."""

    def seed(self, seed: int) -> None:
        """Seed the host, which makes the inputs."""
        seed_host(seed)

    def precision_plugin(self, precision: PrecisionSpec) -> Any:
        """None; refuses."""
        self._refuse()

    def set_matmul(self, mode: str) -> None:
        """Take any mode: the engine is asked for it when it compiles, and its evidence says what it does.

        Raises:
            PrecisionUnsupportedError: there is no such mode.
        """
        require_mode(mode)

    def identities(self) -> list[DeviceIdentity]:
        """One per device node, by number; without known nodes the engine's first device, once its stack is here.

        They are named by `vendor.chip`, else by the vendor's title: the engines tell no chip names through Python.
        """
        if not self.nodes:
            return [] if self.unavailable_reason() else [self._identity(0, pci_bus_id=None, driver_index=0)]
        numbered = sorted((node_number(node) or 0, node) for node in self.found_nodes())
        return [
            self._identity(index, pci_bus_id=pci_address_of_node(node), driver_index=node_number(node))
            for index, (_, node) in enumerate(numbered)
        ]

    def _identity(self, index: int, *, pci_bus_id: str | None, driver_index: int | None) -> DeviceIdentity:
        name = self.spec.chip or self.spec.title
        return DeviceIdentity(index=index, uuid=None, pci_bus_id=pci_bus_id, name=name, driver_index=driver_index)

    def versions(self) -> dict[str, str]:
        """Versions of the engine's Python packages."""
        told = {package: installed_version(package) for package in self.packages}
        return {"engine": self.engine} | {package: found for package, found in told.items() if found is not None}
