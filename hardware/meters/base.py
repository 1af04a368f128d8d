"""The contract of a meter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hardware.base import DeviceIdentity

Scope = Literal["device", "board", "package", "dram", "node", "host"]


class MeterUnavailableError(RuntimeError):
    """The meter cannot be used here; the message is the reason shown beside the None."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Reading:
    """One meter's answer for one thing at one moment. What the meter does not tell is None, never 0."""

    source: str
    """What was read: a device UUID, `package-0`, `node`, `host` …; constant over a run."""
    scope: Scope
    power_w: float | None = None
    energy_j: float | None = None
    """Cumulative counter since some arbitrary start, in joules."""
    energy_wrap_j: float | None = None
    """Value at which the counter starts again from 0; None when it does not."""
    temperature_c: float | None = None
    utilisation: float | None = None
    """Fraction 0..1."""
    memory_used_bytes: int | None = None
    clock_mhz: float | None = None
    throttle: str | None = None
    """Reasons the chip runs below its clock, as the vendor names them, joined by `+`; empty when there are none."""
    board: str | None = None
    """Of a device that has no power sensor of its own: the source of its board's power."""
    shared_by: int | None = None
    """Of a board: how many devices its sensor measures together."""
    disk_read_bytes: int | None = None
    """Of the host, like the next three: a counter since some arbitrary start."""
    disk_written_bytes: int | None = None
    network_sent_bytes: int | None = None
    network_received_bytes: int | None = None
    raw: str | None = None
    """The meter's own text where it was not understood."""


class Meter(ABC):
    """Reads a set of sources. `open` may fail with a reason; `read` may fail at any time and never ends a run."""

    name: ClassVar[str]
    period_s: ClassVar[float] = 0.1
    """Sampling period that keeps the meter's cost far below 1 % of a core."""
    least_period_s: ClassVar[float] = 0.0
    """Below this a further reading tells nothing new, or disturbs what it reads; no short window makes it shorter."""

    @abstractmethod
    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Connect to the sensors of exactly these devices (by UUID or PCI id, never by index).

        Raises:
            MeterUnavailableError: no such sensor, no permission, MIG or virtual GPU; says which.
        """

    @abstractmethod
    def read(self) -> list[Reading]:
        """One reading per source, now.

        Raises:
            MeterUnavailableError: the sensor stopped answering.
        """

    def processes_cpu_s(self) -> float:
        """Processor seconds of the processes this meter has started so far; 0 for one that starts none."""
        return 0.0

    def close(self) -> None:  # noqa: B027 -- most meters hold nothing
        """Let go of the sensors."""
