"""MetaX GPUs through the vendor's command line tool: its machine-readable form (`mx-smi -j`) and its table.

`-j` tells power by supply line, the hottest spot, utilisation and clock. Memory, and which GPUs share a board, are in
the table alone; they change slowly, so it is read seldom, and every time only where the tool does not know `-j`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.boards import share_power
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.mx_smi.rows import MxGpu, parse_machine_form, parse_table

TABLE_PERIOD_S = 10.0


class MxSmi(SmiMeter):
    """Power, temperature, utilisation, clock and memory of whole GPUs; the tool tells no energy counter."""

    name: ClassVar = "mx_smi"
    tools: ClassVar = ("mx-smi", "/opt/mxdriver/bin/mx-smi")
    calls = (("-j",), ())

    def __init__(self, timeout_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(timeout_s)
        self._clock = clock
        self._table_due_s = 0.0
        self._boards: dict[str | None, str] = {}
        """Board by PCI address, of the boards that hold several GPUs."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's row.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, a device without a row, or one that is sliced.
        """
        self._table_due_s = self._clock()
        super().open(devices)

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per GPU: what both forms tell of it, the machine-readable one first."""
        machine, table = parse_machine_form(outputs[0]), parse_table(outputs[1])
        if table:
            self._boards = _shared_boards(table)
        sliced = {gpu.row.pci_bus_id for gpu in (*machine, *table) if gpu.sliced}
        boxed = {gpu.row.pci_bus_id: gpu.row for gpu in table}
        rows = [_with_memory(gpu.row, boxed.pop(gpu.row.pci_bus_id, None)) for gpu in machine]
        rows += boxed.values()
        rows = [replace(row, refused=_why(row)) if row.pci_bus_id in sliced else row for row in rows]
        alone = [row for row in rows if row.pci_bus_id not in self._boards]
        shared = [
            row
            for board in sorted(set(self._boards.values()))
            for row in share_power([row for row in rows if self._boards.get(row.pci_bus_id) == board], board)
        ]
        return alone + shared

    def _outputs(self) -> list[str]:
        """What `-j` printed and what the table is, each empty where it was not read.

        Raises:
            MeterUnavailableError: neither was to be had; says why.
        """
        machine, why = self._ask("-j")
        table, why_not = "", ""
        if self._clock() >= self._table_due_s or not parse_machine_form(machine):
            table, why_not = self._ask()
        if not machine and not table:
            raise MeterUnavailableError(f"{self.name}: {why or why_not or 'the tool printed nothing'}")
        if table:
            self._table_due_s = self._clock() + TABLE_PERIOD_S
        return [machine, table]

    def _ask(self, *arguments: str) -> tuple[str, str]:
        """What the tool printed, or why it did not."""
        try:
            return self._tool.run(*arguments), ""
        except MeterUnavailableError as error:
            return "", str(error)


def _shared_boards(table: Sequence[MxGpu]) -> dict[str | None, str]:
    numbers = [gpu.board for gpu in table]
    return {gpu.row.pci_bus_id: gpu.board for gpu in table if gpu.board is not None and numbers.count(gpu.board) > 1}


def _with_memory(row: SmiRow, boxed: SmiRow | None) -> SmiRow:
    return row if boxed is None else replace(row, memory_used_bytes=boxed.memory_used_bytes)


def _why(row: SmiRow) -> str:
    return (
        f"{row.pci_bus_id} is lent in slices (sGPU); power is only known for the whole GPU, "
        "which others may use as well"
    )
