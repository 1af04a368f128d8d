"""Intel Gaudi through Habana's PyTorch bridge, which adds `torch.hpu` (docs.habana.ai, HabanaAI/gaudi-pytorch-bridge).

A process has one Gaudi, which PyTorch calls `hpu:0` in every rank. Which one it is, the bridge decides by
HLS_MODULE_ID, read when the device is acquired: HABANA_VISIBLE_MODULES limits a process to modules, and each rank takes
the one at its place. HABANA_VISIBLE_DEVICES limits a container only. Without any of these a process takes whatever is
free, and no meter would know which; so this one always chooses a module, where the driver tells their numbers.

The bridge runs operations at once (eager, PT_HPU_LAZY_MODE=0; the default of its later versions) or gathers them until
a step is marked (lazy; the default of earlier ones, no longer developed). Eager is chosen here: an event then lies
between the operations it was recorded between. Who sets PT_HPU_LAZY_MODE=1 gets the lazy mode; events and
synchronisation then mark a step first, or they would time work that was never started.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import DeviceIdentity, MemoryPeaks
from hardware.bus.nodes import existing, node_number
from hardware.bus.pci import normal_pci
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_module import TorchModuleDevice

if TYPE_CHECKING:
    import torch

DEVICE_NODES = ("/dev/accel/accel[0-9]*", "/dev/hl[0-9]*")
"""What the driver makes, as glob patterns: of the kernel's accelerator class, which it shares with others; its own
before that."""
PCI_VENDOR = "0x1da3"
"""Habana Labs (pci-ids.ucw.cz)."""
LAZY_MODE, MODULE_ID = "PT_HPU_LAZY_MODE", "HLS_MODULE_ID"

_CLASSES = {"accel": "sys/class/accel", "hl": "sys/class/habanalabs"}
"""Where the kernel tells of a node, by what its name begins with."""


def find_nodes(root: Path) -> list[Path]:
    """Gaudi's nodes below `root`: of the shared class those whose PCI device is Habana's."""
    accel, own = (existing([pattern], root) for pattern in DEVICE_NODES)
    return [*(node for node in accel if _vendor(node, root) == PCI_VENDOR), *own]


def _attribute(node: Path, name: str, root: Path) -> str | None:
    """What the kernel tells of a node under this name (`module_id`, `pci_addr`, `vendor`); None when it does not."""
    folder = root / _CLASSES[node.name.rstrip("0123456789")] / node.name
    for file in (folder / "device" / name, folder / name):
        try:
            return file.read_text().strip()
        except OSError:
            continue
    return None


def _vendor(node: Path, root: Path) -> str | None:
    found = _attribute(node, "vendor", root)
    if found is not None:
        return found.lower()
    # The driver from outside the kernel shows the device by its own attributes; its PCI device is elsewhere then.
    address = _attribute(node, "pci_addr", root)
    try:
        return (root / "sys/bus/pci/devices" / (address or "none") / "vendor").read_text().strip().lower()
    except OSError:
        return None


class MarkedEvent:
    """An event of the lazy mode, which ends the step before it."""

    def __init__(self, event: Any, mark_step: Any) -> None:
        self._event, self._mark_step = event, mark_step

    def record(self) -> None:
        """Start what was gathered, then set the mark behind it."""
        self._mark_step()
        self._event.record()

    def elapsed_time(self, end: MarkedEvent) -> float:
        """Milliseconds from this event to `end`."""
        return float(self._event.elapsed_time(end._event))


class Habana(TorchModuleDevice):
    """The Gaudis whose modules `HABANA_VISIBLE_MODULES` shows this process."""

    namespace: ClassVar[str] = "hpu"
    packages: ClassVar[tuple[str, ...]] = ("habana_frameworks",)
    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES

    _lazy = False

    def found_nodes(self) -> list[Path]:
        """Gaudi's device nodes that are here."""
        return find_nodes(self.device_root)

    def connect(self) -> None:
        """Choose the mode and the module, then import the bridge and acquire the device.

        Raises:
            HardwareUnavailableError: with what is missing, or what the bridge answered.
        """
        os.environ.setdefault(LAZY_MODE, "0")
        modules, rank = self._modules(), int(os.environ.get("LOCAL_RANK", "0"))
        if rank < len(modules):
            os.environ.setdefault(MODULE_ID, str(modules[rank]))
        super().connect()

    def start(self) -> None:
        """Import the bridge, its communication library with it, and acquire the device."""
        for name in ("core", "hpu", "distributed.hccl"):
            importlib.import_module(f"habana_frameworks.torch.{name}")
        # PyTorch may have loaded the bridge before this could choose the mode: what counts is the mode it is in.
        self._lazy = bool(importlib.import_module("habana_frameworks.torch.utils.internal").is_lazy())
        super().start()

    def _mark_step(self) -> None:
        importlib.import_module("habana_frameworks.torch.core").mark_step()

    def accelerator(self) -> Any:
        """An accelerator of `hpu:0` in every rank, as an object: Lightning refuses the name `hpu` in some places."""
        from hardware.stacks.accelerator import make_accelerator

        base: Any = make_accelerator(self.namespace)

        class GaudiAccelerator(base):  # type: ignore[misc]
            """Hands Lightning the one Gaudi of this process."""

            def setup_device(self, device: torch.device) -> None:
                """Nothing to choose: the process acquired its Gaudi when it connected."""
                if device.type != "hpu":
                    raise ValueError(f"a device of torch.hpu was expected, not {device}")

            @staticmethod
            def get_parallel_devices(devices: list[int]) -> list[torch.device]:
                """`hpu:0` once per rank."""
                return [_own_device() for _ in devices]

        return GaudiAccelerator()

    def torch_device(self, index: int) -> torch.device:
        """`hpu:0`, whatever the index: a process has one."""
        return _own_device()

    def count(self) -> int:
        """Number of devices that the driver shows, no more than HABANA_VISIBLE_MODULES lists."""
        shown, listed = super().count(), self._listed()
        return shown if listed is None else min(shown, len(listed))

    def synchronize(self) -> None:
        """Wait for all streams of the device, what the lazy mode has gathered included."""
        if self._lazy:
            self._mark_step()
        super().synchronize()

    def _device_event(self) -> Any:
        event = super()._device_event()
        return MarkedEvent(event, self._mark_step) if self._lazy else event

    def memory_peaks(self) -> MemoryPeaks:
        """The allocator's peak `MaxInUse`; what it reserves it reserves whole at the start, so that has no peak."""
        try:
            peak = dict(self.module.memory_stats()).get("MaxInUse")
        except (RuntimeError, AttributeError, NotImplementedError, AssertionError) as error:
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=f"no allocator statistics: {error}")
        if not peak:
            return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason="the allocator keeps no peaks")
        reason = "the allocator reserves its pool whole when it starts, and keeps no peak of it"
        return MemoryPeaks(allocated_bytes=int(peak), reserved_bytes=None, reason=reason)

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Nothing beyond the vendor's list: every Gaudi has float32 and bfloat16; the probe measures what runs."""

    def versions(self) -> dict[str, str]:
        """With the mode the bridge runs in."""
        mode = "lazy, a step is marked at each event" if self._lazy else "eager"
        return super().versions() | {"mode": mode} | self._bridge()

    def _bridge(self) -> dict[str, str]:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return {"habana-torch-plugin": version("habana-torch-plugin")}
        except PackageNotFoundError:
            return {}

    def _listed(self) -> list[int] | None:
        """Modules that the variable lists, in its order; None where it is not set or holds anything but numbers."""
        value = os.environ.get(self.spec.visible_devices_env or "")
        parts = [part.strip() for part in (value or "").split(",") if part.strip()]
        return [int(part) for part in parts] if value is not None and all(map(str.isdigit, parts)) else None

    def _modules(self) -> list[int]:
        """Numbers of the modules in the order of the local ranks; none where the driver does not tell them all."""
        there = self._node_of_module()
        listed = self._listed()
        modules = sorted(there) if listed is None else listed
        chosen = os.environ.get(MODULE_ID, "")
        if int(os.environ.get("LOCAL_WORLD_SIZE", "1")) == 1 and chosen.isdigit():
            modules = [int(chosen), *(module for module in modules if module != int(chosen))]
        return modules if there else []

    def _node_of_module(self) -> dict[int, Path]:
        nodes = self.found_nodes()
        told = {_attribute(node, "module_id", self.device_root): node for node in nodes}
        numbers = {int(module): node for module, node in told.items() if module is not None and module.isdigit()}
        return numbers if len(numbers) == len(nodes) else {}

    def _node(self, index: int) -> Path | None:
        """The node of the module a local rank takes; the only one there is, where the driver tells no modules."""
        modules, nodes = self._modules(), self.found_nodes()
        if modules:
            return self._node_of_module().get(modules[index]) if index < len(modules) else None
        return nodes[0] if len(nodes) == 1 and index == 0 else None

    def _identity(self, index: int) -> DeviceIdentity:
        found, node = super()._identity(index), self._node(index)
        address = None if node is None else _attribute(node, "pci_addr", self.device_root)
        if node is None or address is None:
            return found
        return replace(found, pci_bus_id=normal_pci(address), driver_index=node_number(node))


def _own_device() -> torch.device:
    import torch

    return torch.device("hpu", 0)
