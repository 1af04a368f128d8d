"""What all stacks share that show their devices as a module of torch in the shape of `torch.cuda`, by whatever name."""

from __future__ import annotations

import importlib
import importlib.util
import os
from abc import abstractmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import (
    Device,
    DeviceEvent,
    DeviceIdentity,
    HardwareUnavailableError,
    MemoryPeaks,
    PrecisionUnsupportedError,
)
from hardware.bus.nodes import existing, node_number, visible_node
from hardware.bus.pci import pci_address, pci_address_of_node, uuid_text
from hardware.layout import MeshLayout
from hardware.precision.float32 import require_mode
from hardware.precision.plugins import build_plugin, require_listed
from hardware.precision.switches import Switch
from hardware.spec import PrecisionSpec
from hardware.stacks.accelerator import register_accelerator
from hardware.stacks.host import HostEvent, seed_host
from hardware.stacks.strategy import build_strategy

if TYPE_CHECKING:
    import torch

EMULATE = "`emulate=true scale=tiny` tries the configuration out on the host CPU"
_LOAD_ERRORS = (ImportError, OSError, RuntimeError, AttributeError)


class TorchModuleDevice(Device):
    """Devices reached through `torch.<namespace>`, whoever made them."""

    namespace: ClassVar[str]
    """torch's name of the device type: `cuda`, `musa`, `npu` …"""
    packages: ClassVar[tuple[str, ...]] = ()
    """Python packages that bring the namespace, in the order `connect` imports them."""
    nodes: ClassVar[tuple[str, ...]]
    """Glob patterns of what the driver makes."""
    switches: ClassVar[tuple[Switch, ...]] = ()
    """What decides how float32 matrices are multiplied; without one for TF32, `tf32` is refused."""

    device_root = Path("/")
    _timing_events = True

    @property
    def reached_through(self) -> str:
        """The namespace and what brings it."""
        brought = f" ({', '.join(self.packages)})" if self.packages else ""
        return f"torch.{self.namespace}{brought}"

    def unavailable_reason(self) -> str | None:
        """Names each of device node, PyTorch and the stack's packages that is missing."""
        missing = [] if self.found_nodes() else [f"no device ({', '.join(self.nodes)}: the driver makes them)"]
        wanted = ("torch", *self.packages)
        missing += [f"no Python package {name}" for name in wanted if importlib.util.find_spec(name) is None]
        return " and ".join(missing) or None

    def found_nodes(self) -> list[Path]:
        """The driver's device nodes that are here."""
        return existing(self.nodes, self.device_root)

    def connect(self) -> None:
        """Import the stack, start its runtime and wait for an empty queue: what does not work says so here.

        Raises:
            HardwareUnavailableError: with what is missing, or what the stack answered.
        """
        import torch

        if reason := self.unavailable_reason():
            raise self.unavailable(f"{reason}.")
        for package in self.packages:
            try:
                importlib.import_module(package)
            except _LOAD_ERRORS as error:
                raise self.unavailable(
                    f"{package} is installed but does not load: {error}. Is the driver the one it was built for?"
                ) from error
        try:
            self.start()
            visible = self.count()
            if visible:
                self.synchronize()
        except (*_LOAD_ERRORS, AssertionError) as error:
            raise self.unavailable(f"torch {torch.__version__} cannot use it: {error}.") from error
        if not visible:
            raise self.unavailable(f"torch {torch.__version__} sees no device ({self._visibility()}).")
        self._timing_events = self._events_work()

    def start(self) -> None:
        """Start the runtime."""
        if hasattr(self.module, "init"):
            self.module.init()

    def unavailable(self, problem: str) -> HardwareUnavailableError:
        """The error of a stack that is missing or broken: the problem, then what to do."""
        return HardwareUnavailableError(f"{self.spec.title}: {problem} {self.spec.install} Meanwhile, {EMULATE}.")

    @property
    def module(self) -> Any:
        """`torch.<namespace>`."""
        import torch

        return getattr(torch, self.namespace)

    def _visibility(self) -> str:
        variable = self.spec.visible_devices_env
        if variable is None:
            return "no variable limits which ones"
        value = os.environ.get(variable)
        return f"{variable} is not set" if value is None else f"{variable}={value}"

    def _events_work(self) -> bool:
        try:
            start, end = self._device_event(), self._device_event()
            start.record()
            end.record()
            self.synchronize()
            return float(start.elapsed_time(end)) >= 0
        except (RuntimeError, AttributeError, NotImplementedError, TypeError):
            return False

    def accelerator(self) -> Any:
        """Name of the accelerator in Lightning's registry."""
        return register_accelerator(self.namespace)

    def strategy(self, devices: int, layout: MeshLayout | None = None) -> Any:
        """One device, or data parallel or sharded over the vendor's communication library.

        Raises:
            RuntimeError: several ranks that torchrun did not start.
        """
        backend = self.communication_backend()
        return build_strategy(devices, backend=backend, device=self.torch_device(0), layout=layout)

    def count(self) -> int:
        """Number of visible devices."""
        return int(self.module.device_count())

    def torch_device(self, index: int) -> torch.device:
        """`<namespace>:<index>`."""
        import torch

        return torch.device(self.namespace, index)

    def synchronize(self) -> None:
        """Wait for all streams of the current device."""
        self.module.synchronize()

    def times_on_device(self) -> bool:
        """Whether the stack has timing events."""
        return self._timing_events

    def event(self) -> DeviceEvent:
        """A timing event, or a mark on the host's clock where the stack has none (`versions` says which)."""
        if not self._timing_events:
            return HostEvent()
        event: DeviceEvent = self._device_event()
        return event

    def _device_event(self) -> Any:
        return self.module.Event(enable_timing=True)

    def elapsed_s(self, start: DeviceEvent, end: DeviceEvent) -> float:
        """Seconds between two recorded events (devices count milliseconds)."""
        if isinstance(start, HostEvent) and isinstance(end, HostEvent):
            return start.seconds_until(end)
        return float(start.elapsed_time(end)) / 1000.0  # type: ignore[attr-defined]

    def memory_peaks(self) -> MemoryPeaks:
        """Peaks of the caching allocator; a peak of 0 bytes is a statistic that nobody keeps, not a measurement."""
        try:
            stats: dict[str, Any] = dict(self.module.memory_stats())
        except (RuntimeError, AttributeError, NotImplementedError) as error:
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=f"no allocator statistics: {error}")
        allocated, reserved = stats.get("allocated_bytes.all.peak"), stats.get("reserved_bytes.all.peak")
        if not allocated:
            why = "the stack's allocator counts nothing" if allocated == 0 else "the allocator keeps no peaks"
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=why)
        partly = None if reserved is not None else "the allocator keeps no peak of what it reserves"
        return MemoryPeaks(allocated_bytes=allocated, reserved_bytes=reserved, reason=partly)

    def reset_memory_peaks(self) -> None:
        """Start the allocator's peaks afresh, where it keeps some."""
        if hasattr(self.module, "reset_peak_memory_stats"):
            self.module.reset_peak_memory_stats()

    def seed(self, seed: int) -> None:
        """Seed Python, NumPy, torch and every visible device."""
        seed_host(seed)
        if hasattr(self.module, "manual_seed_all"):
            self.module.manual_seed_all(seed)

    def precision_plugin(self, precision: PrecisionSpec) -> Any:
        """Lightning's precision plugin for `precision`.

        Raises:
            PrecisionUnsupportedError: not listed for this vendor, or the visible chips cannot do it.
        """
        require_listed(precision, self.spec)
        self.require_chip(precision)
        return build_plugin(precision, device_type=self.namespace, make_scaler=self.make_scaler)

    @abstractmethod
    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse what the visible chips cannot do.

        Raises:
            PrecisionUnsupportedError: names the chip and what it lacks.
        """

    def make_scaler(self, enabled: bool) -> Any:
        """The gradient scaler of mixed precision in float16: the stack's own where it has one."""
        import torch

        own = getattr(getattr(self.module, "amp", None), "GradScaler", None)
        return own(enabled=enabled) if own is not None else torch.amp.GradScaler(self.namespace, enabled=enabled)

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products and convolutions as `mode`, by the stack's `switches`.

        Raises:
            PrecisionUnsupportedError: the stack has no TF32, or a switch keeps its place.
        """
        require_mode(mode)
        if mode == "tf32" and not any(switch.tf32 for switch in self.switches):
            raise PrecisionUnsupportedError(f"{self.spec.title}: its PyTorch has no switch for TF32")
        for switch in self.switches:
            switch.set(switch.tf32 and mode == "tf32")

    def identities(self) -> list[DeviceIdentity]:
        """The visible devices, in local index order."""
        return self.own_identities(self.count())

    def own_identities(self, ranks: int) -> list[DeviceIdentity]:
        """The devices of so many local ranks. No other is asked for anything: it may be lost, or split."""
        return [self._identity(index) for index in range(min(ranks, self.count()))]

    def used(self) -> range:
        """Local indices of the devices that this node's ranks use."""
        return range(min(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), self.count()))

    def _identity(self, index: int) -> DeviceIdentity:
        properties = self._properties(index)
        uuid = uuid_text(properties)
        node = self._node(index)
        return DeviceIdentity(
            index=index,
            uuid=None if uuid is None else self.normalise_uuid(uuid, index),
            pci_bus_id=pci_address(properties) or (pci_address_of_node(node) if node else None),
            name=self.chip_name(index),
            driver_index=node_number(node) if node else None,
            memory_bytes=memory_bytes(properties),
        )

    def _properties(self, index: int) -> Any:
        try:
            return self.module.get_device_properties(index)
        except (RuntimeError, AttributeError, NotImplementedError):
            return None  # then nothing but the name is known

    def _node(self, index: int) -> Path | None:
        """The device node of a local index; None where numbers alone do not tell which it is."""
        variable = self.spec.visible_devices_env
        shown = os.environ.get(variable) if variable else None
        return visible_node(self.found_nodes(), index, shown=shown, count=self.count())

    def normalise_uuid(self, uuid: str, index: int) -> str:
        """The UUID as the vendor's own tools write it."""
        return uuid

    def chip_name(self, index: int) -> str:
        """The chip as the driver names it."""
        return str(self.module.get_device_name(index))

    def versions(self) -> dict[str, str]:
        """Versions of the stack's packages, what times and what communicates."""
        found = {"timing": "device events" if self._timing_events else "host clock: the stack has no timing events"}
        found["communication"] = self.communication_backend()
        for package in self.packages:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found


def memory_bytes(properties: Any) -> int | None:
    """A device's whole memory from torch's properties; None where the stack does not tell it."""
    told = getattr(properties, "total_memory", None)
    return told if isinstance(told, int) and told > 0 else None
