"""Kunlunxin XPUs through the vendor's command line tool, in its machine-readable form (`xpu_smi -m`).

The form has no header, so nothing in it is believed unchecked: rows must have a known layout and possible values, and
when the meter opens they are held against the tool's named form (`-q`), which also tells watts from milliwatts.
A row that is not understood becomes a reading of nulls with the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.pci import normal_pci
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.frame.command import Tool
from hardware.meters.smi.xpu_smi.rows import Named, Row, parse_named, parse_row, row_pci

TOOL_NAMES = ("xpu_smi", "xpu-smi")
MIB = 1 << 20
MOST_W = 2000.0
"""No board draws more, and none idles on as many milliwatts: larger numbers are milliwatts."""
POWER_RATIO = (0.5, 2.0)
"""Between two calls power may change by this much before the column is doubted."""
TEMPERATURE_DIFFERENCE_C = 10.0


@dataclass(kw_only=True, slots=True)
class Xpu:
    """One device to read, and what the check on opening found."""

    source: str
    pci_bus_id: str
    watts_per_unit: float | None = None
    """1 or 0.001; null when the power column is not believed."""
    doubts: list[str] = field(default_factory=list)


class XpuSmi(Meter):
    """Power, temperature, utilisation, clock and memory of each device; XPUs tell no energy counter."""

    name: ClassVar[str] = "xpu_smi"
    period_s: ClassVar[float] = 1.0

    def __init__(self, timeout_s: float = 5.0) -> None:
        self._tool = Tool(*TOOL_NAMES, timeout_s=timeout_s)
        self._xpus: list[Xpu] = []
        self._shared: set[str] = set()
        """Boards seen with several devices; they stay shared when one of those is lost."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's row by PCI address or serial number and check the columns.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row.
        """
        if not devices:
            raise MeterUnavailableError("xpu_smi: no device was named yet")
        rows = _rows(self._run("-m"))
        if not any(rows.values()):
            raise MeterUnavailableError("xpu_smi: -m printed no row of a layout known from Kunlunxin's tool")
        try:
            named = parse_named(self._run("-q"))
        except MeterUnavailableError:
            named = {}  # older tools have no -q; the layout check stands alone then
        xpus = [_find(device, rows) for device in devices]
        for xpu in xpus:
            row = rows[xpu.pci_bus_id]
            if row is not None:
                _check(xpu, row, named.get(xpu.pci_bus_id))
        self._xpus = list({xpu.source: xpu for xpu in xpus}.values())
        self._shared = _shared_boards(rows)

    def read(self) -> list[Reading]:
        """One reading per device, and one per board whose devices share a power sensor.

        Raises:
            MeterUnavailableError: the tool is gone, hangs, fails, or no device is in its output any more.
        """
        text = self._run("-m")
        rows = _rows(text)
        if not self._xpus or not any(xpu.pci_bus_id in rows for xpu in self._xpus):
            raise MeterUnavailableError(
                f"xpu_smi: none of the devices is in the output: {text.strip()[:200] or 'empty'}"
            )
        self._shared |= _shared_boards(rows)
        readings = [_reading(xpu, rows.get(xpu.pci_bus_id), self._shared, text) for xpu in self._xpus]
        return readings + _board_readings(self._xpus, rows, self._shared)

    def processes_cpu_s(self) -> float:
        """Processor seconds of the tool's calls."""
        return self._tool.cpu_s

    def close(self) -> None:
        """Forget the devices."""
        self._xpus = []

    def _run(self, argument: str) -> str:
        try:
            return self._tool.run(argument)
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"xpu_smi: {error}") from error


def _rows(text: str) -> dict[str, Row | None]:
    """Rows by PCI address; null where the line begins with one but is not understood or stands there twice."""
    rows: dict[str, Row | None] = {}
    for line in text.splitlines():
        pci = row_pci(line)
        if pci is not None:
            rows[pci] = None if pci in rows else parse_row(line)
    return rows


def _find(device: DeviceIdentity, rows: dict[str, Row | None]) -> Xpu:
    pci = normal_pci(device.pci_bus_id or "")
    if pci is None:
        matches = [key for key, row in rows.items() if row and row.serial and row.serial == device.uuid]
        pci = matches[0] if len(matches) == 1 else None
    if pci is None:
        raise MeterUnavailableError(
            f"xpu_smi: device {device.index} has no PCI address and no known serial number, and indices differ by tool"
        )
    if pci not in rows:
        raise MeterUnavailableError(f"xpu_smi: -m printed no row for {pci}")
    return Xpu(source=device.uuid or pci, pci_bus_id=pci)


def _check(xpu: Xpu, row: Row, named: Named | None) -> None:
    """Hold the row against what the tool says by name, and settle the unit of power."""
    if named is None or not named.power_w:
        xpu.watts_per_unit = 1.0 if row.power <= MOST_W else 0.001
    else:
        least_w, most_w = (named.power_w * ratio for ratio in POWER_RATIO)
        xpu.watts_per_unit = next((unit for unit in (1.0, 0.001) if least_w <= row.power * unit <= most_w), None)
        if xpu.watts_per_unit is None:
            xpu.doubts.append(f"power {row.power:g} but -q says {named.power_w:g} W")
    if named is None:
        return
    if named.temperature_c is not None and (
        row.temperature_c is None or abs(row.temperature_c - named.temperature_c) > TEMPERATURE_DIFFERENCE_C
    ):
        xpu.doubts.append(f"temperature {row.temperature_c} but -q says {named.temperature_c:g} C")
    if named.memory_total_mib is not None and named.memory_total_mib != row.memory_total_mib:
        xpu.doubts.append(f"memory of {row.memory_total_mib} but -q says {named.memory_total_mib:g} MiB")


def _reading(xpu: Xpu, row: Row | None, shared: set[str], text: str) -> Reading:
    """One device. A doubt about one column is a doubt about the layout: nothing of the row is used."""
    if row is None or xpu.doubts:
        line = next((line.strip() for line in text.splitlines() if row_pci(line) == xpu.pci_bus_id), None)
        why = "; ".join(xpu.doubts) or ("not understood" if line else f"no row for {xpu.pci_bus_id}")
        return Reading(source=xpu.source, scope="device", raw=f"{why}: {line}" if line else why)
    return Reading(
        source=xpu.source,
        scope="device",
        power_w=None if row.board in shared else _watts(row, xpu.watts_per_unit),
        board=f"board-{row.board}" if row.board in shared else None,
        temperature_c=row.temperature_c,
        utilisation=row.utilisation,
        memory_used_bytes=row.memory_used_mib * MIB,
        clock_mhz=row.clock_mhz,
    )


def _watts(row: Row, watts_per_unit: float | None) -> float | None:
    """Power in watts; null for a value no board can have, such as a sensor's 0 or 65535."""
    watts = row.power * watts_per_unit if watts_per_unit is not None else 0.0
    return watts if 0 < watts <= MOST_W else None


def _shared_boards(rows: dict[str, Row | None]) -> set[str]:
    """Boards that hold several devices: such boards (K200) have one power sensor for all."""
    boards = [row.board for row in rows.values() if row is not None]
    return {board for board in boards if boards.count(board) > 1}


def _board_readings(xpus: list[Xpu], rows: dict[str, Row | None], shared: set[str]) -> list[Reading]:
    """Power of the shared boards that hold a measured device, once each; null while the board's rows disagree."""
    readings: dict[str, Reading] = {}
    for xpu in xpus:
        row = rows.get(xpu.pci_bus_id)
        if row is None or xpu.doubts or row.board not in shared:
            continue
        powers = {other.power for other in rows.values() if other is not None and other.board == row.board}
        readings[row.board] = Reading(
            source=f"board-{row.board}",
            scope="board",
            power_w=_watts(row, xpu.watts_per_unit) if len(powers) == 1 else None,
            shared_by=sum(other is not None and other.board == row.board for other in rows.values()),
            raw=None if len(powers) == 1 else f"rows of one board disagree on power: {sorted(powers)}",
        )
    return list(readings.values())
