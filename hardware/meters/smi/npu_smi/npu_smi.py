"""Huawei Ascend NPUs through the vendor's command line tool, by the table of `npu-smi info`.

One call shows every chip with its PCI address; the per-chip forms (`-t power -i N -c M`) take several calls per chip,
which may not run at the same time (HDK's guide to npu-smi). Sources of the layouts: hiascend.com's npu-smi reference,
FlagPerf training/ascend, tables in public reports of the 310P, 910A, 910B and A3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.nodes import DAVINCI_NODES
from hardware.meters.frame.boards import SharedBoards, share_power
from hardware.meters.frame.device_numbers import numbers_of_nodes
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.npu_smi.rows import NpuChip, parse_chips


class NpuSmi(SmiMeter):
    """Power, temperature, utilisation and memory of each chip; the tool tells no energy counter.

    Cards with two chips tell one power, which is the card's.
    """

    name: ClassVar = "npu_smi"
    tools: ClassVar = ("npu-smi",)
    calls = (("info",),)
    numbered_by_driver: ClassVar = True

    device_root = Path("/")

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._boards = SharedBoards()

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's chip.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row of its own.
        """
        self._boards.forget()
        super().open(devices)

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per chip, numbered by its device node where that can be told."""
        chips = parse_chips(outputs[0])
        cards = Counter(chip.npu for chip in chips)
        self._boards.see(str(chip.npu) for chip in chips)
        rows = [
            share_power([chip.row], str(chip.npu))[0]
            if chip.shares_power or str(chip.npu) in self._boards
            else chip.row
            for chip in chips
        ]
        # In a container with one of a card's two chips the other is missing, yet its power is in the card's.
        hidden = [SmiRow(board=str(chip.npu)) for chip in chips if chip.shares_power and cards[chip.npu] == 1]
        return self._identified(chips, cards, rows) + hidden

    def _row(self, chip: NpuChip) -> SmiRow:
        board = str(chip.npu)
        return share_power([chip.row], board)[0] if chip.shares_power or board in self._boards else chip.row

    def _identified(self, chips: Sequence[NpuChip], cards: Counter[int], rows: Sequence[SmiRow]) -> list[SmiRow]:
        """The rows with what tells each from all others."""
        numbers = self._numbers(chips, cards)
        addresses = Counter(chip.row.pci_bus_id for chip in chips)
        identified: list[SmiRow] = []
        seen: set[tuple[int, str | None]] = set()
        for chip, row, number in zip(chips, rows, numbers, strict=True):
            # Such a container may show its chip twice, once in place of the other (Ascend mind-cluster's guide).
            repeated = chip.physical is not None and (chip.physical, chip.row.pci_bus_id) in seen
            if chip.physical is not None:
                seen.add((chip.physical, chip.row.pci_bus_id))
            if repeated:
                identified.append(replace(row, pci_bus_id=None))
                continue
            # Both chips of an Atlas 300I Duo have one address: their numbers tell them apart.
            own = addresses[chip.row.pci_bus_id] == 1 or chip.physical is not None
            identified.append(replace(row, pci_bus_id=chip.row.pci_bus_id if own else None, index=number))
        return identified

    def _numbers(self, chips: Sequence[NpuChip], cards: Counter[int]) -> list[int | None]:
        """Of each chip the number of its device node: under `Phy-ID`, else what `Device` or the card's number means."""
        if any(chip.physical is not None for chip in chips):
            return [chip.physical for chip in chips]
        listed = [chip.device for chip in chips]
        if not any(number is not None for number in listed) and max(cards.values(), default=0) == 1:
            listed = [chip.npu for chip in chips]
        return numbers_of_nodes(listed, DAVINCI_NODES, self.device_root)
