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
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.cnmon.cards import Card, parse_cards
from hardware.meters.smi.cnmon.driver import driver_cards

SHARED = {"MLU370-X8": 2}
"""Chips that share one board and its power sensor, by product."""
AGREEMENT = 0.1
"""Readings of one sensor, taken one after the other, differ by less than this share; more are two sensors."""


class Cnmon(SmiMeter):
    """Power, temperature, utilisation, memory and clock of each card; MLUs tell no energy counter."""

    name: ClassVar[str] = "cnmon"
    tools: ClassVar[tuple[str, ...]] = ("cnmon",)
    calls: ClassVar[tuple[tuple[str, ...], ...]] = (("info",),)

    root = Path("/")

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._boards: set[str] = set()
        """Boards seen with several chips; they stay shared when one of those is lost."""

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per card."""
        cards = parse_cards(outputs[0])
        serials = {card.number: card.serial or self._driver_serial(card) for card in cards}
        by_serial: dict[str, list[Card]] = {}
        for card in cards:
            serial = serials[card.number]
            if serial is not None:
                by_serial.setdefault(serial, []).append(card)
        self._boards |= {serial for serial, chips in by_serial.items() if _share(chips)}
        powers = {serial: _agreed([card.power_w for card in by_serial.get(serial, [])]) for serial in self._boards}
        return [self._row(card, serials[card.number], powers) for card in cards]

    def close(self) -> None:
        """Forget the devices and their boards."""
        super().close()
        self._boards = set()

    def _driver_serial(self, card: Card) -> str | None:
        if card.product not in SHARED or card.pci_bus_id is None:
            return None
        return next((one.board for one in driver_cards(self.root) if one.pci_bus_id == card.pci_bus_id), None)

    def _row(self, card: Card, serial: str | None, powers: dict[str, float | None]) -> SmiRow:
        board = serial if serial in self._boards else None
        raw, board_power_w, power_w = card.raw, None, None
        if board is not None and card.power_w is not None:
            agreed = powers[board]
            board_power_w = card.power_w if agreed is None else agreed
        elif board is None and card.product not in SHARED:
            power_w = card.power_w
        elif board is None and card.power_w is not None:
            raw = "; ".join(filter(None, (raw, _nobodys(card))))
        return SmiRow(
            pci_bus_id=card.pci_bus_id,
            uuid=card.uuid,
            index=card.number,
            board=board,
            board_power_w=board_power_w,
            power_w=power_w,
            temperature_c=card.temperature_c,
            utilisation=card.utilisation,
            memory_used_bytes=card.memory_used_bytes,
            clock_mhz=card.clock_mhz,
            raw=raw,
        )


def _share(chips: Sequence[Card]) -> bool:
    """Whether cards of one serial number are the chips of one board."""
    expected = {SHARED.get(card.product or "") for card in chips} - {None}
    return len(chips) > 1 and expected in (set(), {len(chips)})


def _agreed(powers: Sequence[float | None]) -> float | None:
    """What several readings of one sensor say together; null when there are none or they are of two sensors."""
    told = [power for power in powers if power is not None]
    if not told or max(told) - min(told) > AGREEMENT * max(told):
        return None
    return fmean(told)


def _nobodys(card: Card) -> str:
    return (
        f"Power/Usage {card.power_w:g} W is that of a board which several chips of {card.product} share, "
        "and neither cnmon nor the driver tells which"
    )
