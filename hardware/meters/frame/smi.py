"""Meters that read a vendor's command line tool: which row belongs to which device, what when one is missing.

A vendor's own meter says how its tool is called and what its output means (`parse`); all the rest is here. A row that
is not understood becomes a reading of nulls with the text, never a number.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.pci import normal_pci
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.frame.boards import board_reading, board_source, has_sensor
from hardware.meters.frame.command import Tool
from hardware.meters.frame.row import SmiRow

SHOWN = 200
"""Characters of a tool's text that an error repeats."""


class SmiMeter(Meter):
    """One reading per device from the tool's rows, and one per board whose devices share a power sensor."""

    period_s: ClassVar[float] = 1.0
    tools: ClassVar[tuple[str, ...]]
    """Names of the tool; the first that is installed is run."""
    calls: tuple[tuple[str, ...], ...]
    """Arguments of each call that one reading takes."""
    alternatives: ClassVar[tuple[tuple[tuple[str, ...], ...], ...]] = ()
    """Calls of other versions of the tool in place of `calls`: tried in this order on opening, and kept."""
    partial: ClassVar[bool] = False
    """Whether what the tool complains of is output too (`command.Tool`)."""
    numbered_by_driver: ClassVar[bool] = False
    """Whether the tool's numbers are those of the driver's device nodes; else only PCI addresses and UUIDs count."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        self._tool = Tool(*self.tools, timeout_s=timeout_s, partial=self.partial)
        self._calls = self.calls
        self._devices: dict[str, DeviceIdentity] = {}
        """By source, the name under which a device is read."""

    @abstractmethod
    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """Understand what the calls printed, one text per call; what is not a device's row is left out."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's row, in the first way to call the tool that gives one for each.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row of its own.
        """
        if not devices:
            raise MeterUnavailableError(f"{self.name}: no device was named yet")
        self._devices = {}
        reasons: list[str] = []
        for calls in (self.calls, *self.alternatives):
            self._calls = calls
            try:
                self._find(devices)
            except MeterUnavailableError as error:
                reasons.append(str(error))
            else:
                self._devices = {self._source(device): device for device in devices}
                return
        raise MeterUnavailableError("; ".join(dict.fromkeys(reasons)))

    def _find(self, devices: Sequence[DeviceIdentity]) -> None:
        """Read once, and see that each device has one row."""
        outputs = self._outputs()
        rows = self.parse(outputs)
        if not rows:
            why = self._tool.complaint or f"no row of a known form in the output: {_shown(outputs)}"
            raise MeterUnavailableError(f"{self.name}: {why}")
        for device in devices:
            found = self._rows_of(device, rows)
            if len(found) != 1:
                raise MeterUnavailableError(f"{self.name}: {self._why_not(device, found)}")
            if found[0].refused is not None:
                raise MeterUnavailableError(f"{self.name}: {found[0].refused}")

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
        return readings + [board_reading(board, rows) for board in sorted(boards) if has_sensor(board, rows)]

    def processes_cpu_s(self) -> float:
        """Processor seconds of the tool's calls."""
        return self._tool.cpu_s

    def close(self) -> None:
        """Forget the devices."""
        self._devices = {}

    def _outputs(self) -> list[str]:
        return [self._run(*arguments) for arguments in self._calls]

    def _run(self, *arguments: str) -> str:
        try:
            return self._tool.run(*arguments)
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
    measured_together = has_sensor(row.board, rows)
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


def _shown(outputs: Sequence[str]) -> str:
    text = "\n".join(outputs).strip()
    return text[:SHOWN] or "empty"
