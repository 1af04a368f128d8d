"""What `rocm-smi --json` and Hygon's fork of it, `hy-smi --json`, print: an object per card, names with units, texts.

Names differ by version (`Average Graphics Package Power (W)`, since ROCm 6 on some chips `Current Socket …`; `DCU use
(%)`, later `HCU use (%)`; VRAM in bytes or in MiB), so each figure has the names it was seen under. hy-smi leaves out
commas between some fields, and both may print a warning before or after: the text is read field by field, and a card
that is not closed is left out. Sources: rocm_smi.py of rocm_smi_lib (ROCm 5 to 7), recorded outputs of both tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hardware.bus.pci import find_pci
from hardware.meters.frame.fields import BYTES, CELSIUS, JOULES, MEGAHERTZ, PERCENT, WATTS, quantity, within
from hardware.meters.frame.smi import SmiRow

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([{}:,\[\]])|([^\s{}:,"\[\]]+)')
_CARD = re.compile(r"card(\d+)")
_UNKNOWN = frozenset({"", "-", "na", "none", "unknown", "not supported", "unsupported"})
_CARDS_DEPTH = 2

MOST_W, HOTTEST_C, FASTEST_MHZ = 3000.0, 150.0, 10_000.0
"""No board draws more, runs hotter or clocks higher: larger numbers are no measurements."""
POWER = ("Current Socket Graphics Package Power (W)", "Average Graphics Package Power (W)")
TEMPERATURE = ("Temperature (Sensor junction) (C)", "Temperature (Sensor edge) (C)")
"""The hottest spot of the die; where a chip has no such sensor, its edge."""
USE = ("GPU use (%)", "HCU use (%)", "DCU use (%)")
CLOCK = ("sclk clock speed",)
ENERGY = ("Accumulated Energy (uJ)",)
MEMORY = (("VRAM Total Used Memory (B)", 1.0), ("VRAM Total Used Memory (MiB)", 2.0**20))


@dataclass(kw_only=True, slots=True)
class Card:
    """One card's fields by name; names in small letters, without the colon that some end with."""

    number: int
    values: dict[str, str]
    doubts: list[str] = field(default_factory=list)
    """Fields that were told but not understood."""

    def text(self, *names: str) -> str | None:
        """The first of these fields that tells something."""
        texts = (self.values.get(_key(name)) for name in names)
        return next((text for text in texts if text is not None and not is_unknown(text)), None)

    def number_of(
        self, names: tuple[str, ...], units: Mapping[str, float], *, bare: float, most: float, least: float = 0.0
    ) -> float | None:
        """The first of these fields that tells something, in base units; null and a doubt when it is not a number."""
        text = self.text(*names)
        if text is None:
            return None
        value = within(quantity(text.strip("() "), dict(units), bare=bare), least, most)
        if value is None:
            self.doubts.append(f"{next(name for name in names if self.text(name) == text)}: {text}")
        return value


def is_unknown(text: str) -> bool:
    """Whether a field says that the tool does not know: `N/A`, `N/A (Secondary die)`, `-` or the like."""
    folded = text.strip().casefold()
    return folded in _UNKNOWN or folded.startswith(("n/a", "[n/a"))


def parse_cards(text: str) -> list[Card]:
    """The cards of a JSON text, whole or with missing commas; a card whose object does not end is left out."""
    start = re.search(r'\{\s*"', text)
    if start is None:
        return []
    cards: list[Card] = []
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
                cards.append(Card(number=int(match[1]), values=values))
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


def card_row(card: Card) -> SmiRow:
    """One card's figures; what it does not tell or what is not possible is null."""
    power_w = card.number_of(POWER, WATTS, bare=1.0, most=MOST_W)
    energy_j = card.number_of(ENERGY, JOULES, bare=1e-6, most=float("inf"))
    use = card.number_of(USE, PERCENT, bare=0.01, most=1.0)
    temperature_c = card.number_of(TEMPERATURE, CELSIUS, bare=1.0, most=HOTTEST_C)
    clock_mhz = card.number_of(CLOCK, MEGAHERTZ, bare=1.0, most=FASTEST_MHZ)
    memory_bytes = _memory_bytes(card)
    return SmiRow(
        pci_bus_id=find_pci(card.text("PCI Bus") or ""),
        uuid=_uuid(card.text("Unique ID")),
        index=card.number,
        power_w=power_w or None,  # a chip that answers draws power
        energy_j=energy_j or None,  # a counter that stands at 0 counts nothing
        temperature_c=temperature_c,
        utilisation=use,
        memory_used_bytes=memory_bytes,
        clock_mhz=clock_mhz,
        raw="; ".join(card.doubts) or None,
    )


def _memory_bytes(card: Card) -> int | None:
    for name, factor in MEMORY:
        if card.text(name) is not None:
            used = card.number_of((name,), BYTES, bare=factor, most=float("inf"))
            return None if used is None else round(used)
    return None


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
