"""What Intel's `discovery -j` and `dump` tell of each card (sources: `hardware.meters.smi.xpumcli.xpumcli`)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hardware.bus.pci import normal_pci
from hardware.meters.frame.fields import BYTES, CELSIUS, MEGAHERTZ, PERCENT, WATTS, csv_rows, quantity, within
from hardware.meters.frame.row import SmiRow

_COLUMN = re.compile(r"(?P<label>.*?)\s*(?:\((?P<unit>[^()]*)\))?")
_UTILISATION = ("gpu utilization", "average % utilization of all gpu engines")
"""The second name, of later versions, has its unit inside."""
_DEGREES = CELSIUS | {"celsius degree": 1.0, "celsius": 1.0}
HOTTEST_C, FASTEST_MHZ = 150.0, 10_000.0
_TILE = slice(0, 2)
"""Digits of a UUID, as the tool writes it, that number a card's tiles; 00 is the card itself."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Card:
    """One device of the tool."""

    number: str
    pci_bus_id: str | None
    uuid: str | None
    tiles: int | None = None
    """Devices that share the card's power; null when that is not known."""


def cards_in(text: str) -> list[Card]:
    """The cards in what `discovery -j` prints; empty when it is no list of devices."""
    listed = json_object(text).get("device_list")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [
        Card(
            number=str(entry["device_id"]),
            pci_bus_id=normal_pci(str(entry.get("pci_bdf_address") or "")),
            uuid=_text(entry.get("uuid")),
        )
        for entry in entries
        if "device_id" in entry  # a card in a bad state is listed without a number
    ]


def json_object(text: str) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def card_uuid(uuid: str) -> str:
    """UUID of the card that a tile is on, from the tile's or the card's own.

    Source: Intel compute-runtime, `Device::generateUuidFromPciBusInfo`: the last of the 16 bytes numbers the tile from
    1 and is 0 for the card; the tool writes the bytes from the last to the first.
    """
    return "00" + uuid[_TILE.stop :]


def table(text: str) -> list[dict[str, str]]:
    """Rows of `dump`, by column; empty when no header is found. Lines before the header are the tool's remarks."""
    lines = text.splitlines()
    begin = next(
        (i for i, line in enumerate(lines) if {"timestamp", "deviceid"} <= set(_labels(line.split(",")))), None
    )
    return [] if begin is None else csv_rows("\n".join(lines[begin:]))


def number_in(fields: dict[str, str]) -> str | None:
    """The device that a row of `dump` is about, as the tool names it."""
    return next((value for name, value in fields.items() if _labels([name]) == ["deviceid"]), None)


def row(card: Card, fields: dict[str, str]) -> SmiRow:
    """A card's figures; what is not a number in a known unit is null, and the row is kept as text."""
    power_w = _above_zero(_figure(fields, ("gpu power",), WATTS))
    temperature_c = within(_figure(fields, ("gpu core temperature",), _DEGREES), 0.0, HOTTEST_C)
    utilisation = within(_figure(fields, _UTILISATION, PERCENT, unit="%"), 0.0, 1.0)
    clock_mhz = within(_figure(fields, ("gpu frequency",), MEGAHERTZ), 0.0, FASTEST_MHZ)
    used = _figure(fields, ("gpu memory used",), BYTES)
    whole = None not in (power_w, temperature_c, utilisation, clock_mhz, used)
    return SmiRow(
        pci_bus_id=card.pci_bus_id,
        uuid=card.uuid,
        power_w=power_w,
        temperature_c=temperature_c,
        utilisation=utilisation,
        clock_mhz=clock_mhz,
        memory_used_bytes=None if used is None else round(used),
        raw=None if whole else ", ".join(f"{name}: {value}" for name, value in fields.items()),
    )


def shared_rows(card: Card, whole: SmiRow) -> list[SmiRow]:
    """The row of a card that is one device; of one that is several, a row each with the power they share."""
    if card.tiles == 1:
        return [whole]
    unknown = None if card.tiles else f"how many devices share this power is not told: {whole.power_w} W"
    one = SmiRow(
        pci_bus_id=whole.pci_bus_id,
        uuid=whole.uuid,
        board=whole.pci_bus_id or whole.uuid,
        board_power_w=whole.power_w if card.tiles else None,
        raw=unknown or whole.raw,
    )
    return [one] * (card.tiles or 1)


def _labels(names: Sequence[str]) -> list[str]:
    return [name.strip().lower().replace(" ", "") for name in names]


def _figure(
    fields: dict[str, str], labels: Sequence[str], units: dict[str, float], *, unit: str | None = None
) -> float | None:
    """The number in the one column of these labels, its unit told by the header or by the label."""
    found = []
    for name, text in fields.items():
        match = _COLUMN.fullmatch(name)
        if match is not None and match["label"].lower() in labels:
            factor = units.get((match["unit"] or unit or "").lower())
            found.append(quantity(text, units, bare=factor))
    return found[0] if len(found) == 1 else None


def _above_zero(watts: float | None) -> float | None:
    return watts if watts is not None and watts > 0 else None  # a card that answers draws power


def _text(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and value else None
