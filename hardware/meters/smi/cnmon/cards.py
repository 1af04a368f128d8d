"""What `cnmon info` prints, card by card.

The tool's text is a tree by indentation: `Card 0` begins a card, a name with nothing behind it (`Power :`, in some
versions without the colon) begins a group, `Usage : 44 W` is a value. Values are found by the names on their path,
`Power/Usage`. Names and units as in the outputs of versions 4.20 to 5.10 that public parsers were written for
(OxideTerm, SwanLab, Cambricon/catch).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hardware.bus.pci import normal_pci
from hardware.meters.frame.fields import BYTES, CELSIUS, MEGAHERTZ, PERCENT, WATTS, quantity, within

MOST_W = 2000.0
"""More than any card draws; a sensor's 65535 is none."""
HOTTEST_C = 150.0

_CARD = re.compile(r"\s*Card\s+(\d+)\s*:?\s*")
_UNTOLD = frozenset({"", "-", "/", "n/a", "na", "none", "unknown", "not supported", "[not supported]"})
_QUANTITIES: dict[str, dict[str, float]] = {
    "Power/Usage": WATTS,
    "Temperature/Chip": CELSIUS,
    "Utilization/MLU Average": PERCENT,
    "Physical Memory Usage/Used": BYTES,
    "Frequency/Board": MEGAHERTZ,
    "Frequency/MLU": MEGAHERTZ,
}
_LIMITS: dict[str, tuple[float, float]] = {
    "Power/Usage": (1.0, MOST_W),  # a card that runs draws more than nothing: 0 is a sensor that does not answer
    "Temperature/Chip": (-40.0, HOTTEST_C),
    "Utilization/MLU Average": (0.0, 1.0),
}
_CARD_SERIALS = frozenset({"sn", "cardsn", "boardsn", "serialnumber", "cardserialnumber", "boardserialnumber"})


@dataclass(kw_only=True, slots=True, frozen=True)
class Card:
    """One card's part of the output, in base units; what it does not tell, or what was not understood, is null."""

    number: int
    product: str | None
    uuid: str | None
    pci_bus_id: str | None
    serial: str | None
    """Serial number of the board, small letters."""
    power_w: float | None
    temperature_c: float | None
    utilisation: float | None
    memory_used_bytes: int | None
    clock_mhz: float | None
    raw: str | None
    """The lines that hold something but were not understood; null when there are none."""


def parse_cards(text: str) -> list[Card]:
    """The cards in the output of `cnmon info`; a card that is there twice is left out, for neither can be believed."""
    parts: dict[int, list[list[str]]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        begins = _CARD.fullmatch(line)
        if begins is not None:
            current = []
            parts.setdefault(int(begins[1]), []).append(current)
        elif current is not None:
            current.append(line)
    return [_card(number, _paths(lines[0])) for number, lines in parts.items() if len(lines) == 1]


def _paths(lines: Sequence[str]) -> dict[str, str]:
    """Values by the names on their path; of a path that stands there twice the first."""
    found: dict[str, str] = {}
    groups: list[tuple[int, str]] = []
    for line in lines:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        while groups and groups[-1][0] >= depth:
            groups.pop()
        name, _, value = (part.strip() for part in line.partition(":"))
        if value:
            found.setdefault("/".join([*(group for _, group in groups), name]), value)
        else:
            groups.append((depth, name))
    return found


def _card(number: int, paths: Mapping[str, str]) -> Card:
    values = {path: _value(path, paths.get(path)) for path in _QUANTITIES}
    doubtful = [f"{path}: {paths[path]}" for path, value in values.items() if value is None and _holds(paths.get(path))]
    memory, clock = values["Physical Memory Usage/Used"], values["Frequency/Board"]
    return Card(
        number=number,
        product=_text(paths.get("Product Name")),
        uuid=normal_uuid(_text(paths.get("UUID"))),
        pci_bus_id=_address(paths),
        serial=_serial(paths),
        power_w=values["Power/Usage"],
        temperature_c=values["Temperature/Chip"],
        utilisation=values["Utilization/MLU Average"],
        memory_used_bytes=None if memory is None else round(memory),
        clock_mhz=values["Frequency/MLU"] if clock is None else clock,
        raw="; ".join(doubtful) or None,
    )


def _value(path: str, text: str | None) -> float | None:
    value = quantity(text, _QUANTITIES[path])
    return within(value, *_LIMITS[path]) if path in _LIMITS else within(value, 0.0, float("inf"))


def _holds(text: str | None) -> bool:
    return text is not None and text.lower() not in _UNTOLD


def _text(text: str | None) -> str | None:
    return text if _holds(text) else None


def normal_uuid(text: str | None) -> str | None:
    """A card's UUID as cnmon writes it: Cambricon's other tools put `MLU-` in front."""
    return None if text is None else text.lower().removeprefix("mlu-")


def _serial(paths: Mapping[str, str]) -> str | None:
    """The card's own serial number; a mother board's, which may carry many cards, does not count."""
    for path, value in paths.items():
        if "".join(path.lower().split()) in _CARD_SERIALS and _holds(value):
            digits = value.lower().removeprefix("sn/").removeprefix("0x").lstrip("0")
            return digits or None
    return None


def _address(paths: Mapping[str, str]) -> str | None:
    parts = [paths.get(f"PCI/{name}", "").lower().removeprefix("0x") for name in _PCI]
    if not all(re.fullmatch(r"[0-9a-f]{1,8}", part) for part in parts):
        return None
    domain, bus, device, function = (int(part, 16) for part in parts)
    return normal_pci(f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}")


_PCI = ("Domain ID", "Bus num", "Device", "Function")
"""Parts of the address, each in hexadecimal digits."""
