"""AMD GPUs through `rocm-smi --json`, where AMD's Python library `amdsmi` is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.amdsmi.boards import Die, device_number, primary_dies
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.rocm_rows import RocmCard, card_row, parse_cards

SECONDARY = "secondary die"
WHOLE = "SPX"
"""Compute partition of a GPU that is one device."""


class RocmSmi(SmiMeter):
    """Power, energy, temperature, utilisation, clock and memory; boards of two dies (MI250) tell power once."""

    name: ClassVar = "rocm_smi"
    tools: ClassVar = ("rocm-smi", "/opt/rocm/bin/rocm-smi")
    calls = (
        (
            *("--showbus", "--showuniqueid", "--showid", "--showpower", "--showenergycounter", "--showtemp"),
            *("--showuse", "--showmeminfo", "vram", "--showclocks", "--showcomputepartition", "--json"),
        ),
    )
    partial: ClassVar = True

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._primaries: dict[str, str | None] | None = None
        """By PCI address, as found on opening: a die that is lost later must not change who belongs together."""

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's row, and which devices share a board.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row of its own.
        """
        self._primaries = None
        super().open(devices)

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """The cards, their boards marked."""
        cards = parse_cards(outputs[0])
        rows = [_row(card) for card in cards]
        if self._primaries is None:
            self._primaries = _primaries(cards, rows)
        return [self._on_board(row, rows) for row in rows]

    def _on_board(self, row: SmiRow, rows: Sequence[SmiRow]) -> SmiRow:
        """A row of a board with two dies: the board's power, told by its primary die."""
        primaries = self._primaries or {}
        pci = row.pci_bus_id or ""
        if pci not in primaries:
            return row
        primary = primaries[pci]
        if primary is None:
            return replace(row, power_w=None, energy_j=None, raw=row.raw or "it is unclear which die tells its power")
        told = next((one.power_w for one in rows if one.pci_bus_id == primary), None)
        return replace(row, board=primary, board_power_w=told, power_w=None, energy_j=None)


def _row(card: RocmCard) -> SmiRow:
    """A card's row; power and energy of a partitioned GPU are the whole GPU's, so no device's."""
    row = card_row(card)
    partition = card.text("Compute Partition")
    if partition is None or partition.upper() == WHOLE:
        return row
    why = f"Compute Partition: {partition}; power is known for the whole GPU alone"
    return replace(row, power_w=None, energy_j=None, raw=why)


def _primaries(cards: Sequence[RocmCard], rows: Sequence[SmiRow]) -> dict[str, str | None]:
    """For each die of a shared board, the one that tells its power; unclear where a chip does not tell what it is."""
    dies = [_die(card, row) for card, row in zip(cards, rows, strict=True)]
    unclear = [die.pci_bus_id for die in dies if die.device_id is None and any(map(_is_secondary, cards))]
    return primary_dies(dies) | dict.fromkeys(unclear, None)


def _die(card: RocmCard, row: SmiRow) -> Die:
    return Die(
        pci_bus_id=row.pci_bus_id or "",
        device_id=device_number(card.text("Device ID", "GPU ID", "Card Model")),
        tells_power=row.power_w is not None and not _is_secondary(card),
    )


def _is_secondary(card: RocmCard) -> bool:
    return any(SECONDARY in text.casefold() for text in card.values.values())
