"""Kunlunxin XPUs through the vendor's command line tool, in its machine-readable form (`xpu_smi -m`).

The form has no header, so nothing in it is believed unchecked: rows must have a known layout and possible values, and
when the meter opens they are held against the tool's named form (`-q`), which also tells watts from milliwatts.
A row that is not understood becomes a reading of nulls with the text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.boards import SharedBoards
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.xpu_smi.rows import MIB, Named, Row, parse_named, parse_row, row_pci

MOST_W = 2000.0
"""No board draws more, and none idles on as many milliwatts: larger numbers are milliwatts."""
WATTS, MILLIWATTS = 1.0, 0.001
POWER_RATIO = (0.5, 2.0)
"""Between two calls power may change by this much before the column is doubted."""
TEMPERATURE_DIFFERENCE_C = 10.0


class XpuSmi(SmiMeter):
    """Power, temperature, utilisation, clock and memory of each device; XPUs tell no energy counter."""

    name: ClassVar = "xpu_smi"
    tools: ClassVar = ("xpu_smi", "xpu-smi")
    calls = (("-m",),)

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._units: dict[str, float] = {}
        """Watts per unit of the power column, by PCI address, as settled on opening."""
        self._doubts: dict[str, str] = {}
        """By PCI address: where the named form contradicted the row on opening."""
        self._boards = SharedBoards()
        """Such boards (K200) have one power sensor for all their devices."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's row by PCI address or serial number and check the columns.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row.
        """
        self._units, self._doubts = {}, {}
        self._boards.forget()
        super().open(devices)

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per line that begins with an address; on opening none at all unless one of them is understood."""
        lines = [(pci, line) for line in outputs[0].splitlines() if (pci := row_pci(line)) is not None]
        rows = [parse_row(line) for _, line in lines]
        if not self._devices:
            if not any(rows):
                return []
            self._check([row for row in rows if row is not None], parse_named("".join(outputs[1:])))
        self._boards.see(row.board for row in rows if row is not None)
        return [
            SmiRow(pci_bus_id=pci, raw=f"not understood: {line.strip()}") if row is None else self._row(row)
            for (pci, line), row in zip(lines, rows, strict=True)
        ]

    def _outputs(self) -> list[str]:
        outputs = super()._outputs()
        if not self._devices:
            with contextlib.suppress(MeterUnavailableError):  # older tools have no -q; the layout check stands alone
                outputs.append(self._run("-q"))
        return outputs

    def _check(self, rows: Sequence[Row], named: Mapping[str, Named]) -> None:
        """Settle the unit of each row's power, and hold the row against what the tool says by name."""
        for row in rows:
            one = named.get(row.pci_bus_id)
            unit = _unit(row, one)
            doubts = _doubts(row, one, unit)
            if doubts:
                self._doubts[row.pci_bus_id] = "; ".join(doubts)
            elif unit is not None:
                self._units[row.pci_bus_id] = unit

    def _row(self, row: Row) -> SmiRow:
        """One device. A doubt about one column is a doubt about the layout: nothing of the row is used."""
        shared = row.board in self._boards
        board = row.board if shared else None
        doubt = self._doubts.get(row.pci_bus_id)
        if doubt is not None:
            return SmiRow(pci_bus_id=row.pci_bus_id, uuid=row.serial, board=board, raw=f"{doubt}: {row.raw}")
        watts = row.power * self._units.get(row.pci_bus_id, _by_size(row))
        possible_w = watts if 0 < watts <= MOST_W else None  # a sensor's 0 or 65535 is no power
        return SmiRow(
            pci_bus_id=row.pci_bus_id,
            uuid=row.serial,
            board=board,
            board_power_w=possible_w if shared else None,
            power_w=None if shared else possible_w,
            temperature_c=row.temperature_c,
            utilisation=row.utilisation,
            memory_used_bytes=row.memory_used_mib * MIB,
            clock_mhz=row.clock_mhz,
            raw=None if possible_w is not None else row.raw,
        )


def _by_size(row: Row) -> float:
    return WATTS if row.power <= MOST_W else MILLIWATTS


def _unit(row: Row, named: Named | None) -> float | None:
    """Watts per unit of the power column; None where the named form says that it is neither."""
    if named is None or named.power_w is None:
        return _by_size(row)
    least_w, most_w = (named.power_w * ratio for ratio in POWER_RATIO)
    return next((unit for unit in (WATTS, MILLIWATTS) if least_w <= row.power * unit <= most_w), None)


def _doubts(row: Row, named: Named | None, unit: float | None) -> list[str]:
    """Where the named form contradicts the row."""
    if named is None:
        return []
    doubts = []
    if unit is None:
        doubts.append(f"power {row.power:g} but -q says {named.power_w:g} W")
    if named.temperature_c is not None and (
        row.temperature_c is None or abs(row.temperature_c - named.temperature_c) > TEMPERATURE_DIFFERENCE_C
    ):
        doubts.append(f"temperature {row.temperature_c} but -q says {named.temperature_c:g} C")
    if named.memory_total_mib is not None and named.memory_total_mib != row.memory_total_mib:
        doubts.append(f"memory of {row.memory_total_mib} but -q says {named.memory_total_mib:g} MiB")
    return doubts
