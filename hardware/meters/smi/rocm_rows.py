"""What `rocm-smi --json` and Hygon's fork of it, `hy-smi --json`, print: an object per card, names with units, texts.

Names differ by version (`Average Graphics Package Power (W)`, since ROCm 6 on some chips `Current Socket …`; `DCU use
(%)`, later `HCU use (%)`; VRAM in bytes or in MiB), so each figure has the names it was seen under. hy-smi leaves out
commas between some fields, and both may print a warning before or after: the text is read field by field, and a card
that is not closed is left out. Sources: rocm_smi.py of rocm_smi_lib (ROCm 5 to 7), recorded outputs of both tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hardware.bus.pci import find_pci
from hardware.meters.frame.fields import is_absent
from hardware.meters.frame.figures import Field, Layout, clock, energy, memory, power, temperature, utilisation
from hardware.meters.frame.forms import heading
from hardware.meters.frame.row import SmiRow

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([{}:,\[\]])|([^\s{}:,"\[\]]+)')
_CARD = re.compile(r"card(\d+)")
_CARDS_DEPTH = 2

LAYOUT = Layout(
    pci_bus_id=("PCI Bus",),
    uuid=("Unique ID",),
    power_w=power(
        "Current Socket Graphics Package Power (W)",
        "Average Graphics Package Power (W)",
        most=3000.0,
        zero_is_absent=True,
    ),
    energy_j=energy("Accumulated Energy (uJ)"),
    # The hottest spot of the die; where a chip has no such sensor, its edge.
    temperature_c=temperature("Temperature (Sensor junction) (C)", "Temperature (Sensor edge) (C)", least=0.0),
    utilisation=utilisation("GPU use (%)", "HCU use (%)", "DCU use (%)"),
    memory_used_bytes=memory("VRAM Total Used Memory (B)", "VRAM Total Used Memory (MiB)"),
    clock_mhz=clock("sclk clock speed", bare=1.0),
)
NAMES = LAYOUT.names()


@dataclass(kw_only=True, slots=True)
class RocmCard:
    """One card's fields by name; names in small letters, without the colon that some end with."""

    number: int
    values: dict[str, str]

    def text(self, *names: str) -> str | None:
        """The first of these fields that tells something."""
        texts = (self.values.get(_key(name)) for name in names)
        return next((text for text in texts if text is not None and not is_absent(text)), None)


def parse_cards(text: str) -> list[RocmCard]:
    """The cards of a JSON text, whole or with missing commas; a card whose object does not end is left out."""
    start = re.search(r'\{\s*"', text)
    if start is None:
        return []
    cards: list[RocmCard] = []
    depth = 0
    title = last = ""
    name: str | None = None
    values: dict[str, str] = {}
    for mark, word in _tokens(text[start.start() :]):
        if mark == ":":
            name = last  # the colon makes a name of the word before it, so that no stray word can shift the others
        elif mark == "{":
            depth += 1
            title, name, values = name or "", None, {}
        elif mark == "}":
            if depth == _CARDS_DEPTH and (match := _CARD.fullmatch(title)):
                cards.append(RocmCard(number=int(match[1]), values=values))
            depth, name = depth - 1, None
            if depth == 0:
                break
        elif mark:
            name = None
        else:
            if name is not None:
                _add(values, _key(name), word)
            last, name = word, None
    return cards


def _add(values: dict[str, str], name: str, text: str) -> None:
    """Keep a field; one that stands twice with different texts keeps both, so that nobody takes it for a number."""
    known = values.get(name)
    values[name] = text if known is None or known == text else f"{known} or {text}"


def card_row(card: RocmCard) -> SmiRow:
    """One card's figures; what it does not tell or what is not possible is None."""
    fields = {
        name: Field(text=card.values[_key(name)].strip("() "), unit=heading(name)[1], title=f"{name}:")
        for name in NAMES
        if _key(name) in card.values
    }
    if (pci := find_pci(card.text("PCI Bus") or "")) is not None:
        fields["PCI Bus"] = Field(text=pci)
    row = LAYOUT.row(fields)
    return replace(row, index=card.number, uuid=_uuid(row.uuid))


def _uuid(text: str | None) -> str | None:
    """ROCm's UUID of the tool's `0x…`; Hygon's own numbers stay as they are."""
    match = re.fullmatch(r"0x([0-9a-fA-F]{1,16})", text or "")
    return text if match is None else f"GPU-{int(match[1], 16):016x}"


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Marks with an empty word, words with an empty mark."""
    for match in _TOKEN.finditer(text):
        yield (match[2], "") if match[2] else ("", match[1] if match[1] is not None else match[3])


def _key(name: str) -> str:
    return name.strip().rstrip(":").strip().casefold()
