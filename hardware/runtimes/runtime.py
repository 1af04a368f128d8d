"""What devices have in common that are reached through another framework than PyTorch.

The vendor's own `Device` says which devices these are: driver, names, identities, condition. The runtime computes on
them, waits for them and counts their memory. On the host's processor, or in a vendor's place, it is the CPU.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from abc import abstractmethod
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import (
    Device,
    DeviceCondition,
    DeviceEvent,
    DeviceIdentity,
    DeviceSettings,
    HardwareUnavailableError,
    MemoryPeaks,
)
from hardware.layout import MeshLayout
from hardware.runtimes.completion import CompletedEvent, CompletionWatch
from hardware.runtimes.visible import divided, shown
from hardware.scalars import HeldScalars, Scalars
from hardware.spec import PrecisionSpec
from hardware.stacks.host import HostEvent, seed_host

if TYPE_CHECKING:
    import torch


TORCH = "draws batches on the host; computes nothing of the model"
"""Said beside its version, which stands in every report."""


class RuntimeDevice(Device):
    """A vendor's devices through one runtime; the worker submits, this waits and measures."""

    runtime: ClassVar[str]
    """Key of `VendorSpec.runtimes`: the framework's name."""
    packages: ClassVar[tuple[str, ...]]
    """Python packages, in the order `connect` imports them."""
    host_kind: ClassVar[str]
    """What the runtime calls the host's processor."""
    asynchronous_on_host: ClassVar[bool] = False
    """Whether calls return before their work is done on the host's processor, too."""

    def __init__(self, vendor: Device, *, on_host: bool) -> None:
        """Prepare.

        Args:
            vendor: the vendor's device, or the host in its place.
            on_host: whether the host's processor computes.
        """
        super().__init__(vendor.spec)
        self.vendor, self.on_host = vendor, on_host
        self.kind = self.host_kind if on_host else vendor.spec.runtimes.get(self.runtime, "")
        """What the runtime calls the type of device."""
        self.watch = CompletionWatch(self.wait) if self.asynchronous else None

    @property
    def asynchronous(self) -> bool:
        """Whether a call can return before its work is done."""
        return not self.on_host or self.asynchronous_on_host

    @property
    def reached_through(self) -> str:
        """The runtime and its name of the device: `jax: cuda`."""
        return f"{self.runtime}: {self.kind}"

    # --- is it there ------------------------------------------------------------------------------------------

    def unavailable_reason(self) -> str | None:
        """Names the device nodes and packages that are missing."""
        if not self.kind:
            return f"{self.runtime} has no devices of {self.spec.title}"
        missing = [f"no Python package {name}" for name in self.packages if importlib.util.find_spec(name) is None]
        if self.on_host:
            reason = self.vendor.unavailable_reason()
            missing = [reason, *missing] if reason else missing
        elif hasattr(self.vendor, "found_nodes") and not self.vendor.found_nodes():
            missing = ["no device: the driver makes no device nodes", *missing]
        return " and ".join(missing) or None

    def connect(self) -> None:
        """Import the runtime and ask it for its devices: what does not work says so here.

        Raises:
            HardwareUnavailableError: with what is missing, or what the runtime answered.
        """
        if reason := self.unavailable_reason():
            raise HardwareUnavailableError(f"{self.spec.title}: {reason}. {self.spec.install}")
        if self.on_host:
            self.vendor.connect()
        try:
            for package in self.packages:
                importlib.import_module(package)
            self.start()
            visible = self.count()
        except (ImportError, OSError, RuntimeError, AttributeError, ValueError) as error:
            raise HardwareUnavailableError(
                f"{self.spec.title}: {self.runtime} cannot use its devices ({self.kind}): {error}. Is this the build "
                f"of {self.runtime} for them, and does the driver fit it?"
            ) from error
        if not visible:
            raise HardwareUnavailableError(f"{self.spec.title}: {self.runtime} sees no device of type {self.kind}.")

    @abstractmethod
    def start(self) -> None:
        """Choose this rank's device as the one that is computed on; called once, after the import."""

    def local_rank(self) -> int:
        """Which of the node's ranks this is; its device has this local index."""
        return int(os.environ.get("LOCAL_RANK", "0"))

    def count(self) -> int:
        """Visible devices; on the host as many as ranks share it."""
        return self.vendor.count() if self.on_host else self.visible()

    @abstractmethod
    def visible(self) -> int:
        """How many devices of this kind the runtime sees."""

    # --- work -------------------------------------------------------------------------------------------------

    @abstractmethod
    def wait(self, result: Any) -> None:
        """Return when a result of the runtime is there; called beside the thread that submits."""

    @abstractmethod
    def settle(self) -> None:
        """Wait for everything that the runtime has been given, whether or not its results are known."""

    def submitted(self, result: Any) -> None:
        """Name the latest result that was submitted: marks and edges wait for it. Returns at once."""
        if self.watch is not None:
            self.watch.submitted(result)

    def synchronize(self) -> None:
        """Wait until the device has finished all submitted work, and every mark before it is set."""
        if self.watch is not None:
            self.watch.drain()
        self.settle()

    def event(self) -> DeviceEvent:
        """A mark that is set when the work before it is done."""
        return HostEvent() if self.watch is None else CompletedEvent(self.watch)

    def elapsed_s(self, start: DeviceEvent, end: DeviceEvent) -> float:
        """Seconds between two marks."""
        assert isinstance(start, HostEvent) and isinstance(end, HostEvent)
        return start.seconds_until(end)

    def scalars(self, count: int, index: int = 0) -> Scalars:
        """Places for so many of the runtime's scalars."""
        return HeldScalars(count)

    def memory_peaks(self) -> MemoryPeaks:
        """None by default: the runtime keeps no peaks."""
        reason = f"{self.runtime} keeps no peaks of its allocator for {self.kind}"
        return MemoryPeaks(allocated_bytes=None, reserved_bytes=None, reason=reason)

    def reset_memory_peaks(self) -> None:
        """Nothing to reset by default."""

    def seed(self, seed: int) -> None:
        """Seed Python, NumPy and torch, which draws batches and initial weights."""
        seed_host(seed)

    # --- which device it is -----------------------------------------------------------------------------------

    def identities(self) -> list[DeviceIdentity]:
        """The driver's own list, as far as a variable leaves it visible; without one, the runtime's names alone."""
        if self.on_host:
            return self.vendor.identities()
        listed, count = self.vendor.listed(), self.count()
        found = shown(self.vendor, listed) if listed else None
        if found is not None and len(found) == count:
            return [divided(one, self.device_name(one.index)) for one in found]
        return [
            DeviceIdentity(index=index, uuid=None, pci_bus_id=None, name=self.device_name(index))
            for index in range(count)
        ]

    def device_name(self, index: int) -> str:
        """The chip as the runtime names it."""
        return self.kind

    def condition(self, identity: DeviceIdentity) -> DeviceCondition:
        """As the vendor's tools tell it."""
        return self.vendor.condition(identity)

    def settings(self, identity: DeviceIdentity) -> DeviceSettings | None:
        """As the vendor's tools tell it."""
        return self.vendor.settings(identity)

    def listed(self) -> list[DeviceIdentity] | None:
        """As the driver lists them."""
        return self.vendor.listed()

    def driver_version(self) -> str | None:
        """As the driver's files tell it."""
        return self.vendor.driver_version()

    def versions(self) -> dict[str, str]:
        """The driver, the runtime's packages and its name of the device, how steps are timed, what torch is there for.

        A subclass adds the vendor's libraries that its runtime uses; torch's own need not be the same.
        """
        timing = "the host's clock: calls return when their work is done"
        if self.asynchronous:
            timing = "the host's clock when results are there, by a thread beside the one that submits"
        told = {"reached through": self.reached_through, "timing": timing, "torch's part": TORCH}
        if not self.on_host and (driver := self.driver_version()) is not None:
            told["driver"] = driver
        if self.on_host:
            told |= {name: value for name, value in self.vendor.versions().items() if name in ("emulated", "allocator")}
        for package in self.packages:
            try:
                told[package] = version(package)
            except PackageNotFoundError:
                continue
        return told

    # --- what torch alone needs -------------------------------------------------------------------------------

    def torch_device(self, index: int) -> torch.device:
        """The host: batches are drawn there."""
        import torch

        return torch.device("cpu")

    def pins_memory(self) -> bool:
        """No: the runtime copies by itself."""
        return False

    def communication_backend(self) -> str:
        """Of torch.distributed, through which the ranks agree on edges; the runtime has its own for gradients."""
        return "gloo"

    def accelerator(self) -> Any:
        """Lightning's is not for this runtime."""
        raise self._torch_only("accelerator")

    def strategy(self, devices: int, layout: MeshLayout | None = None) -> Any:
        """Lightning's is not for this runtime."""
        raise self._torch_only("strategy")

    def precision_plugin(self, precision: PrecisionSpec) -> Any:
        """Lightning's is not for this runtime."""
        raise self._torch_only("precision plugin")

    def _torch_only(self, what: str) -> HardwareUnavailableError:
        return HardwareUnavailableError(f"Lightning has no {what} for devices that {self.runtime} computes on.")
