"""Boards of two GPUs with one power sensor: MI250 and MI250X. The primary die tells the power and energy of both.

The kernel shows 0 on the secondary die (drm/amd/pm: "Only primary die supports power data"), and rocm-smi says which
one that is and that the other is usually its neighbour; nothing names the die that belongs to it. So neighbours in PCI
order are a pair when exactly one of them tells power; where that pattern does not hold, no die's power is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TWO_DIES = frozenset({0x7408, 0x740C})
"""PCI device numbers of MI250X and MI250X/MI250 (pci.ids)."""
DIES = 2


@dataclass(kw_only=True, slots=True, frozen=True)
class Die:
    """One GPU of the machine, as far as pairing needs it."""

    pci_bus_id: str
    device_id: int | None
    """Its PCI device number; None when the tool does not tell."""
    tells_power: bool


def primary_dies(dies: Sequence[Die]) -> dict[str, str | None]:
    """For each die of a board with two, the PCI address of the one that tells the board's power; None when unclear."""
    ordered = sorted((die for die in dies if die.device_id in TWO_DIES), key=lambda die: die.pci_bus_id)
    if len(ordered) % DIES:
        return dict.fromkeys((die.pci_bus_id for die in ordered), None)  # one is hidden or lost, but which?
    found: dict[str, str | None] = {}
    for pair in zip(ordered[::DIES], ordered[1::DIES], strict=True):
        telling = [die.pci_bus_id for die in pair if die.tells_power]
        primary = telling[0] if len(telling) == 1 else None
        found |= dict.fromkeys((die.pci_bus_id for die in pair), primary)
    return found


def device_number(value: object) -> int | None:
    """A PCI device number, given as a number or as hexadecimal digits."""
    if isinstance(value, int):
        return value
    try:
        return int(str(value), 16)
    except ValueError:
        return None
