"""The contract of a vendor: one `Device` object between the engine and a vendor's software stack.

The parent process constructs a `Device` and asks `unavailable_reason`; only the worker calls `connect` and the rest.
Vendor SDKs and torch are imported inside methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hardware.spec import PrecisionSpec, VendorSpec

if TYPE_CHECKING:
    import torch

    from hardware.layout import MeshLayout
    from hardware.scalars import Scalars


class HardwareUnavailableError(RuntimeError):
    """The vendor's chip, driver or software stack is not there; the message says what is missing and what to do."""


class PrecisionUnsupportedError(ValueError):
    """This chip or stack cannot honour the precision asked for."""


class DeviceEvent(Protocol):
    """A mark in the device's order of work."""

    def record(self) -> None:
        """Set the mark after the work submitted so far; returns at once."""


@dataclass(kw_only=True, slots=True, frozen=True)
class DeviceIdentity:
    """Which physical device a local index is, for meters: indices differ between tools, UUIDs do not."""

    index: int
    """Local index, as the framework counts the visible devices."""
    uuid: str | None
    pci_bus_id: str | None
    name: str
    """As the driver names the chip; the catalogue's aliases are matched against it."""
    driver_index: int | None = None
    """The driver's own number of it, that of its device node; None where the visible ones are not given by number."""
    memory_bytes: int | None = None
    """All of its memory, as the framework tells it; None where it does not."""
    partition: str | None = None
    """What the device is, where that is not what its name means in the catalogue: `CPX`, an eighth of a chip, or
    `COMPOSITE`, a card of two devices. None where it is the whole device, or nothing tells."""


@dataclass(kw_only=True, slots=True, frozen=True)
class MemoryPeaks:
    """The allocator's peaks since `reset_memory_peaks`, in bytes; None with a reason where the stack keeps none."""

    allocated_bytes: int | None
    reserved_bytes: int | None
    reason: str | None = None
    taken_ahead: str | None = None
    """Why what a meter sees in use is not what the case needs: the allocator takes memory before it is asked for."""


@dataclass(kw_only=True, slots=True, frozen=True)
class DeviceProcess:
    """A process of somebody else on a device; what is not known of it is None."""

    pid: int | None
    """In the process namespace of whoever lists it, which inside a container may be another."""
    name: str | None
    memory_bytes: int | None = None
    """Device memory it holds."""
    cores: float | None = None
    """On the host's processor: how many cores' time it takes."""


@dataclass(kw_only=True, slots=True, frozen=True)
class DeviceCondition:
    """In which state a device is before a run; whatever is None has its reason under its name."""

    isolated: bool | None = None
    """Whether a run would have the device to itself."""
    processes: tuple[DeviceProcess, ...] | None = None
    """Other processes that use it."""
    power_limit_w: float | None = None
    clocks_locked: bool | None = None
    """Whether its clocks are fixed to less freedom than it comes with."""
    facts: dict[str, str] = field(default_factory=dict)
    """What else the driver says, as it says it."""
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = (self.isolated, self.processes, self.power_limit_w, self.clocks_locked)
        names = ("isolated", "processes", "power_limit_w", "clocks_locked")
        missing = {name for name, value in zip(names, values, strict=True) if value is None}
        assert missing == self.reasons.keys(), "null needs a reason, a value must have none"


@dataclass(kw_only=True, slots=True, frozen=True)
class DeviceSettings:
    """How a device is set for the whole of a run; a limit that is None has its reason under its name."""

    power_limit_w: float | None = None
    """The enforced one."""
    max_clock_mhz: float | None = None
    """The highest clock of its cores that the driver allows."""
    facts: dict[str, str] = field(default_factory=dict)
    """What else the driver says and no load changes, as it says it."""
    reasons: dict[str, str] = field(default_factory=dict)


def unknown_condition(reason: str) -> DeviceCondition:
    """The condition of a device of which nothing is told."""
    return DeviceCondition(reasons=dict.fromkeys(("isolated", "processes", "power_limit_w", "clocks_locked"), reason))


class Device(ABC):
    """One vendor's devices, as far as one process uses them."""

    runs_torch: ClassVar[bool] = True
    """Whether PyTorch computes on them; where an inference engine alone does, `torch_device` is the host."""

    def __init__(self, spec: VendorSpec) -> None:
        self.spec = spec

    @property
    def reached_through(self) -> str:
        """How a case reaches the device, in a few words for tables: `torch.cuda`."""
        return f"torch.{self.torch_device(0).type}"

    @abstractmethod
    def unavailable_reason(self) -> str | None:
        """Why this vendor cannot be used here, in a sentence that says what to do; None when it can.

        Looks at device nodes, driver files and `importlib.util.find_spec` alone: imports no torch, takes milliseconds.
        """

    @abstractmethod
    def connect(self) -> None:
        """Import the stack, register its Lightning accelerator where it has its own.

        Raises:
            HardwareUnavailableError: the stack is there but does not work; says what it answered.
        """

    @abstractmethod
    def accelerator(self) -> Any:
        """What Lightning's `Trainer(accelerator=...)` takes."""

    @abstractmethod
    def strategy(self, devices: int, layout: MeshLayout | None = None) -> Any:
        """What Lightning's `Trainer(strategy=...)` takes for so many ranks, over the vendor's backend.

        Args:
            devices: ranks of the job.
            layout: how they share the model; None: data parallel, a copy on each.
        """

    def communication_backend(self) -> str:
        """torch.distributed's name of the communication library."""
        return self.spec.communication_backend

    @abstractmethod
    def count(self) -> int:
        """Number of visible devices."""

    @abstractmethod
    def torch_device(self, index: int) -> torch.device:
        """The torch device of a local index."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the current device has finished all submitted work."""

    @abstractmethod
    def event(self) -> DeviceEvent:
        """A new, unrecorded timing event."""

    @abstractmethod
    def elapsed_s(self, start: DeviceEvent, end: DeviceEvent) -> float:
        """Seconds of device time between two recorded events; call after `synchronize`."""

    def scalars(self, count: int, index: int = 0) -> Scalars:
        """Places for so many scalars on the device of a local index, read back together."""
        from hardware.scalars import TensorScalars

        return TensorScalars(count, self.torch_device(index))

    @abstractmethod
    def memory_peaks(self) -> MemoryPeaks:
        """The allocator's peaks of the current device."""

    @abstractmethod
    def reset_memory_peaks(self) -> None:
        """Start the peaks afresh."""

    @abstractmethod
    def seed(self, seed: int) -> None:
        """Seed Python, NumPy, torch and the device."""

    @abstractmethod
    def precision_plugin(self, precision: PrecisionSpec) -> Any:
        """Lightning's precision plugin that does exactly `precision`.

        Raises:
            PrecisionUnsupportedError: the chip or stack cannot do it; never another precision instead.
        """

    @abstractmethod
    def set_matmul(self, mode: str) -> None:
        """Compute float32 matrix products as `ieee` or `tf32`.

        Raises:
            PrecisionUnsupportedError: the stack has no such mode.
        """

    @abstractmethod
    def identities(self) -> list[DeviceIdentity]:
        """The visible devices, in local index order."""

    def own_identities(self, ranks: int) -> list[DeviceIdentity]:
        """The devices that so many local ranks use, in local index order; the node's others are nobody's business.

        Args:
            ranks: of this node; rank i uses the device of local index i.
        """
        return self.identities()[:ranks]

    def times_on_device(self) -> bool:
        """Whether `event` marks the device's own order of work.

        Where it is the host's clock instead, marks beside an asynchronous device tell when work was handed over, not
        when it was done. On the host's own processor the two are one.
        """
        return True

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Driver, runtime and library versions that belong to this vendor, for the report."""

    def pins_memory(self) -> bool:
        """Whether host memory should be page-locked for copies to the device."""
        return True

    def listed(self) -> list[DeviceIdentity] | None:
        """All devices as the driver lists them, without the stack: before `connect`, in milliseconds, using none.

        None where only the stack can tell.
        """
        return None

    def numbers_as_listed(self, listed: list[DeviceIdentity]) -> bool:
        """Whether the stack numbers devices, before a variable chooses among them, as they are listed."""
        return True

    def driver_version(self) -> str | None:
        """The driver's version as its files tell it, without the stack; None where no file does."""
        return None

    def condition(self, identity: DeviceIdentity) -> DeviceCondition:
        """In which state a device is; asked before `connect`, so that this process is none of its users."""
        return unknown_condition(f"not known of {self.spec.title}: no function of its stack is asked for it")

    def settings(self, identity: DeviceIdentity) -> DeviceSettings | None:
        """How a device is set; takes milliseconds, at any time. None where nothing is asked for it."""
        return None
