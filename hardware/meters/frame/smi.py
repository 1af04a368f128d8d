"""Meters that read a vendor's command line tool: which row belongs to which device, what when one is missing.

A vendor's own meter says how its tool is called and what its output means (`parse`); all the rest is here. A row that
is not understood becomes a reading of nulls with the text, never a number.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.pci import normal_pci
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.frame.command import Tool

SHOWN = 200
"""Characters of a tool's text that an error repeats."""


@dataclass(kw_only=True, slots=True, frozen=True)
class SmiRow:
    """What a tool says of one device. What it does not tell, or what was not understood, is null."""

    pci_bus_id: str | None = None
    """As `hardware.bus.pci.normal_pci` writes it."""
    uuid: str | None = None
    """UUID or serial number, as the tool writes it."""
    index: int | None = None
    """The tool's own number of the device."""
    board: str | None = None
    """Name of the board, where several devices share one; unique on the machine."""
    board_power_w: float | None = None
    """Power of the whole board, told by one or by each of its devices; such devices have no power of their own."""
    power_w: float | None = None
    energy_j: float | None = None
    temperature_c: float | None = None
    utilisation: float | None = None
    """0..1."""
    memory_used_bytes: int | None = None
    clock_mhz: float | None = None
    throttle: str | None = None
    raw: str | None = None
    """The row's own text where something in it was not understood; null when all of it was."""


class SmiMeter(Meter):
    """One reading per device from the tool's rows, and one per board whose devices share a power sensor."""

    period_s: ClassVar[float] = 1.0
    tools: ClassVar[tuple[str, ...]]
    """Names of the tool; the first that is installed is run."""
    calls: ClassVar[tuple[tuple[str, ...], ...]]
    """Arguments of each call that one reading takes."""
    numbered_by_driver: ClassVar[bool] = False
    """Whether the tool's numbers are those of the driver's device nodes; else only PCI addresses and UUIDs count."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        self._tool = Tool(*self.tools, timeout_s=timeout_s)
        self._devices: dict[str, DeviceIdentity] = {}
        """By source, the name under which a device is read."""

    @abstractmethod
    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """Understand what the calls printed, one text per call; what is not a device's row is left out."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's row.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row of its own.
        """
        if not devices:
            raise MeterUnavailableError(f"{self.name}: no device was named yet")
        outputs = self._outputs()
        rows = self.parse(outputs)
        if not rows:
            why = self._tool.complaint or f"no row of a known form in the output: {_shown(outputs)}"
            raise MeterUnavailableError(f"{self.name}: {why}")
        for device in devices:
            found = self._rows_of(device, rows)
            if len(found) != 1:
                raise MeterUnavailableError(f"{self.name}: {self._why_not(device, found)}")
        self._devices = {self._source(device): device for device in devices}

    def read(self) -> list[Reading]:
        """One reading per device, and one per board with a sensor of its own.

        Raises:
            MeterUnavailableError: the tool is gone, hangs or fails, or none of the devices is in its output any more.
        """
        outputs = self._outputs()
        rows = self.parse(outputs)
        found = {source: self._rows_of(device, rows) for source, device in self._devices.items()}
        if not any(found.values()):
            why = self._tool.complaint or f"none of the devices is in the output: {_shown(outputs)}"
            raise MeterUnavailableError(f"{self.name}: {why}")
        readings = [_reading(source, own, rows) for source, own in found.items()]
        boards = {row.board for own in found.values() for row in own if row.board is not None}
        return readings + [_board_reading(board, rows) for board in sorted(boards) if _has_sensor(board, rows)]

    def processes_cpu_s(self) -> float:
        """Processor seconds of the tool's calls."""
        return self._tool.cpu_s

    def close(self) -> None:
        """Forget the devices."""
        self._devices = {}

    def _outputs(self) -> list[str]:
        try:
            return [self._tool.run(*arguments) for arguments in self.calls]
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {error}") from error

    def _rows_of(self, device: DeviceIdentity, rows: Sequence[SmiRow]) -> list[SmiRow]:
        """Rows of a device by PCI address, else by UUID, else by the driver's number."""
        pci = normal_pci(device.pci_bus_id or "")
        if pci is not None and any(row.pci_bus_id is not None for row in rows):
            return [row for row in rows if row.pci_bus_id == pci]
        if device.uuid is not None and any(row.uuid is not None for row in rows):
            return [row for row in rows if row.uuid == device.uuid]
        if self.numbered_by_driver and device.driver_index is not None:
            return [row for row in rows if row.index == device.driver_index]
        return []

    def _why_not(self, device: DeviceIdentity, found: Sequence[SmiRow]) -> str:
        name = self._source(device)
        if len(found) > 1:
            return f"{len(found)} rows for device {name}"
        return f"no row for device {name}: neither its PCI address nor its UUID is in the tool's output"

    @staticmethod
    def _source(device: DeviceIdentity) -> str:
        return device.uuid or normal_pci(device.pci_bus_id or "") or f"device-{device.driver_index}"


def _reading(source: str, own: Sequence[SmiRow], rows: Sequence[SmiRow]) -> Reading:
    if len(own) != 1:
        return Reading(source=source, scope="device", raw=f"{len(own)} rows for {source}")
    row = own[0]
    # Often one row tells the power of the board for all its devices.
    measured_together = row.board is not None and _has_sensor(row.board, rows)
    return Reading(
        source=source,
        scope="device",
        power_w=None if measured_together else row.power_w,
        energy_j=row.energy_j,
        temperature_c=row.temperature_c,
        utilisation=row.utilisation,
        memory_used_bytes=row.memory_used_bytes,
        clock_mhz=row.clock_mhz,
        throttle=row.throttle,
        board=board_source(row.board) if measured_together else None,
        raw=row.raw,
    )


def _has_sensor(board: str, rows: Sequence[SmiRow]) -> bool:
    return any(row.board == board and row.board_power_w is not None for row in rows)


def _board_reading(board: str, rows: Sequence[SmiRow]) -> Reading:
    """The board's power once; null while its rows disagree."""
    shared_by = sum(row.board == board for row in rows)
    told = {row.board_power_w for row in rows if row.board == board and row.board_power_w is not None}
    alike = len(told) == 1
    return Reading(
        source=board_source(board),
        scope="board",
        power_w=min(told) if alike else None,
        shared_by=shared_by,
        raw=None if alike else f"rows tell different powers: {sorted(told)} W",
    )


def board_source(board: str | None) -> str:
    """Name under which a board's power is read."""
    return f"board-{board}"


def _shown(outputs: Sequence[str]) -> str:
    text = "\n".join(outputs).strip()
    return text[:SHOWN] or "empty"
