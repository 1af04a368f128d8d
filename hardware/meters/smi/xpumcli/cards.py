"""What Intel's `discovery -j` and `dump` tell of each card (sources: `hardware.meters.smi.xpumcli.xpumcli`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hardware.bus.pci import normal_pci
from hardware.meters.frame.fields import CELSIUS
from hardware.meters.frame.figures import Fields, Layout, clock, memory, power, temperature, told, utilisation
from hardware.meters.frame.forms import Csv, json_object
from hardware.meters.frame.row import SmiRow

DUMP = Csv(header=frozenset({"timestamp"}))
LAYOUT = Layout(
    power_w=power("gpu power", needed=True),
    temperature_c=temperature(
        "gpu core temperature", units=CELSIUS | {"celsius degree": 1.0, "celsius": 1.0}, least=0.0, needed=True
    ),
    # The second name, of later versions, has its unit inside.
    utilisation=utilisation("gpu utilization", "average % utilization of all gpu engines", bare=0.01, needed=True),
    memory_used_bytes=memory("gpu memory used", needed=True),
    clock_mhz=clock("gpu frequency", needed=True),
    whole_text=True,
)
_TILE = slice(0, 2)
"""Digits of a UUID, as the tool writes it, that number a card's tiles; 00 is the card itself."""


@dataclass(kw_only=True, slots=True, frozen=True)
class IntelCard:
    """One device of the tool."""

    number: str
    pci_bus_id: str | None
    uuid: str | None
    tiles: int | None = None
    """Devices that share the card's power; None when that is not known."""


def cards_in(text: str) -> list[IntelCard]:
    """The cards in what `discovery -j` prints; empty when it is no list of devices."""
    listed = json_object(text).get("device_list")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [
        IntelCard(
            number=str(entry["device_id"]),
            pci_bus_id=normal_pci(str(entry.get("pci_bdf_address") or "")),
            uuid=_text(entry.get("uuid")),
        )
        for entry in entries
        if "device_id" in entry  # a card in a bad state is listed without a number
    ]


def card_uuid(uuid: str) -> str:
    """UUID of the card that a tile is on, from the tile's or the card's own.

    Source: Intel compute-runtime, `Device::generateUuidFromPciBusInfo`: the last of the 16 bytes numbers the tile from
    1 and is 0 for the card; the tool writes the bytes from the last to the first.
    """
    return "00" + uuid[_TILE.stop :]


def number_in(fields: Fields) -> str | None:
    """The device that a row of `dump` is about, as the tool names it."""
    return told(fields, ("deviceid", "device id"))


def row(card: IntelCard, fields: Fields) -> SmiRow:
    """A card's figures; what is not a number in a known unit is None, and the row is kept as text."""
    return replace(LAYOUT.row(fields), pci_bus_id=card.pci_bus_id, uuid=card.uuid)


def shared_rows(card: IntelCard, whole: SmiRow) -> list[SmiRow]:
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


def _text(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) and value else None
