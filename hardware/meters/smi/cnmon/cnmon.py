"""Cambricon MLUs through the driver's command line tool, by the names in the text of `cnmon info`.

The tool's JSON (`-j`) goes to a file `cnmon_info.json` in the working folder, where two readers overwrite each other;
the text holds the same names. Each reading takes the whole text: what the options that shorten it leave away differs
between versions (`-p` is power in some, processes in others).

An MLU370-X8 is one board of two chips with one power sensor: both rows tell the board's power (106 W of 250 W each, in
PaddlePaddle's guide for MLU). Which two chips share a board is known by the board's serial number, the tool's or the
driver's. Where neither tells, the power is nobody's, for counted per chip it would be twice what was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from hardware.meters.frame.boards import SharedBoards, share_power
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.cnmon.cards import MluCard, parse_cards
from hardware.meters.smi.cnmon.driver import driver_cards

SHARED = {"MLU370-X8": 2}
"""Chips that share one board and its power sensor, by product."""
AGREEMENT = 0.1
"""Readings of one sensor, taken one after the other, differ by less than this share; more are two sensors."""


class Cnmon(SmiMeter):
    """Power, temperature, utilisation, memory and clock of each card; MLUs tell no energy counter."""

    name: ClassVar = "cnmon"
    tools: ClassVar = ("cnmon",)
    calls = (("info",),)

    root = Path("/")

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._boards = SharedBoards()

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per card."""
        cards = parse_cards(outputs[0])
        by_serial: dict[str | None, list[MluCard]] = {}
        for card in cards:
            by_serial.setdefault(card.serial or self._driver_serial(card), []).append(card)
        self._boards.see(serial for serial, chips in by_serial.items() if _share(chips) for _ in chips)
        return [row for serial, chips in by_serial.items() for row in self._rows(chips, serial)]

    def close(self) -> None:
        """Forget the devices and their boards."""
        super().close()
        self._boards.forget()

    def _driver_serial(self, card: MluCard) -> str | None:
        if card.product not in SHARED or card.row.pci_bus_id is None:
            return None
        return next((one.board for one in driver_cards(self.root) if one.pci_bus_id == card.row.pci_bus_id), None)

    def _rows(self, chips: Sequence[MluCard], serial: str | None) -> list[SmiRow]:
        """The rows of the cards that have one serial number, or none."""
        if serial in self._boards:
            agreed = _agreed([chip.row.power_w for chip in chips])
            rows = share_power([chip.row for chip in chips], str(serial))
            return [row if None in (agreed, row.board_power_w) else replace(row, board_power_w=agreed) for row in rows]
        return [_nobodys(chip) if chip.product in SHARED else chip.row for chip in chips]


def _share(chips: Sequence[MluCard]) -> bool:
    """Whether cards of one serial number are the chips of one board."""
    expected = {SHARED.get(card.product or "") for card in chips} - {None}
    return len(chips) > 1 and expected in (set(), {len(chips)})


def _agreed(powers: Sequence[float | None]) -> float | None:
    """What several readings of one sensor say together; None when there are none or they are of two sensors."""
    told = [power for power in powers if power is not None]
    if not told or max(told) - min(told) > AGREEMENT * max(told):
        return None
    return fmean(told)


def _nobodys(card: MluCard) -> SmiRow:
    """The row of a chip whose board is not known, without the power."""
    power_w = card.row.power_w
    if power_w is None:
        return card.row
    why = (
        f"Power/Usage {power_w:g} W is that of a board which several chips of {card.product} share, "
        "and neither cnmon nor the driver tells which"
    )
    return replace(card.row, power_w=None, raw="; ".join(filter(None, (card.row.raw, why))))
