"""What `cnmon info` prints, card by card.

The tool's text is a tree by indentation: `Card 0` begins a card, a name with nothing behind it (`Power :`, in some
versions without the colon) begins a group, `Usage : 44 W` is a value. Values are found by the names on their path,
`Power/Usage`. Names and units as in the outputs of versions 4.20 to 5.10 that public parsers were written for
(OxideTerm, SwanLab, Cambricon/catch).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

from hardware.meters.frame.fields import is_absent
from hardware.meters.frame.figures import Field, Fields, Layout, clock, memory, power, temperature, told, utilisation
from hardware.meters.frame.forms import Sections
from hardware.meters.frame.row import SmiRow

FORM = Sections(begins=re.compile(r"\s*Card\s+(?P<index>\d+)\s*:?\s*"))
LAYOUT = Layout(
    index=("@index",),
    pci_bus_id=("@pci",),
    uuid=("UUID",),
    power_w=power("Power/Usage", least=1.0, most=2000.0),
    temperature_c=temperature("Temperature/Chip"),
    utilisation=utilisation("Utilization/MLU Average"),
    memory_used_bytes=memory("Physical Memory Usage/Used"),
    clock_mhz=clock("Frequency/Board", "Frequency/MLU"),
)
_PCI = ("Domain ID", "Bus num", "Device", "Function")
"""Parts of the address, each in hexadecimal digits."""
_SERIALS = frozenset({"sn", "cardsn", "boardsn", "serialnumber", "cardserialnumber", "boardserialnumber"})
"""Names of the card's own serial number; a mother board's, which may carry many cards, does not count."""


@dataclass(kw_only=True, slots=True, frozen=True)
class MluCard:
    """One card's part of the output."""

    row: SmiRow
    product: str | None
    serial: str | None
    """Serial number of the board, small letters."""


def parse_cards(text: str) -> list[MluCard]:
    """The cards in the output of `cnmon info`; a card that is there twice is left out, for neither can be believed."""
    parts = FORM.rows(text)
    often = Counter(part["@index"].text for part in parts)
    return [_card(part) for part in parts if often[part["@index"].text] == 1]


def _card(fields: Fields) -> MluCard:
    row = LAYOUT.row({**fields, "@pci": Field(text=_address(fields))})
    serial = _serial(fields)
    return MluCard(row=replace(row, uuid=normal_uuid(row.uuid)), product=told(fields, ("Product Name",)), serial=serial)


def normal_uuid(text: str | None) -> str | None:
    """A card's UUID as cnmon writes it: Cambricon's other tools put `MLU-` in front."""
    return None if text is None else text.lower().removeprefix("mlu-")


def _serial(fields: Fields) -> str | None:
    for path, field in fields.items():
        if "".join(path.lower().split()) in _SERIALS and not is_absent(field.text):
            return field.text.lower().removeprefix("sn/").removeprefix("0x").lstrip("0") or None
    return None


def _address(fields: Fields) -> str:
    """The PCI address; empty where a part of it is not there."""
    parts = [(told(fields, (f"PCI/{name}",)) or "").lower().removeprefix("0x") for name in _PCI]
    if not all(re.fullmatch(r"[0-9a-f]{1,8}", part) for part in parts):
        return ""
    domain, bus, device, function = (int(part, 16) for part in parts)
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"
