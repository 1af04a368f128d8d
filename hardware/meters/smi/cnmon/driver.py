"""What Cambricon's driver tells of its cards under /proc: which node is which PCI device, and which board it sits on.

Each card has a folder named by its PCI address with a file `information` of `name: value` lines, among them
`Device inode path` and `Board Serial Number` (source of the driver, as published in jklincn/cambricon-mlu-driver).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hardware.bus.pci import normal_pci

FOLDER = "proc/driver/cambricon/mlus"
_NODE = re.compile(r"/dev/cambricon_dev(\d+)")
_SERIAL = re.compile(r"SN/([0-9a-fA-F]+)")


@dataclass(kw_only=True, slots=True, frozen=True)
class DriverCard:
    """One card as the driver knows it."""

    pci_bus_id: str
    number: int | None
    """Number of its device node; None for what has none of its own, such as a virtual function."""
    board: str | None
    """Serial number of the board, small hexadecimal digits; None where the driver tells none or 0."""


def driver_cards(root: Path = Path("/")) -> list[DriverCard]:
    """The cards of a running driver, sorted by address; none where there is no driver or its files cannot be read."""
    files = sorted((root / FOLDER).glob("*/information"))
    cards = [_card(file) for file in files]
    return [card for card in cards if card is not None]


def _card(file: Path) -> DriverCard | None:
    address = normal_pci(file.parent.name)
    if address is None:
        return None
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return None
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    node = _NODE.fullmatch(told.get("Device inode path", ""))
    serial = _SERIAL.fullmatch(told.get("Board Serial Number", ""))
    board = serial[1].lower().lstrip("0") if serial else ""
    return DriverCard(pci_bus_id=address, number=int(node[1]) if node else None, board=board or None)
