"""Quantities in the boxed tables of vendors' tools, told by their units: `| 0  TX8110  42C  96W / 200W | … |`.

Such tables change their columns from version to version, and some tools have no machine-readable form. A quantity is
taken where a device's lines hold exactly one in its unit; a pair `96W / 200W` is what is used of what there is, and
counts once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hardware.bus.pci import find_pci
from hardware.meters.frame.fields import CELSIUS, MEGAHERTZ, PERCENT, WATTS, boxed_lines, quantity, within
from hardware.meters.frame.figures import HOTTEST_C, LEAST_W, whole
from hardware.meters.frame.row import SmiRow

MIB = {"mib": 2.0**20, "gib": 2.0**30}
"""Units of memory as most tools write them."""
MOST_W = 2000.0
"""No board draws more."""
LEAST_C = 0.1
"""A sensor's 0 is no measurement: no chip that answers is that cold."""

_UNITS = frozenset({*WATTS, *CELSIUS, *PERCENT, *MEGAHERTZ, *MIB})
_NUMBER = r"[+-]?\d+(?:\.\d+)?"


@dataclass(kw_only=True, slots=True)
class Block:
    """The lines of one device in a boxed table."""

    index: int
    """The number in its first cell."""
    name: str
    """What stands behind that number in the first cell."""
    lines: list[str] = field(default_factory=list)
    """Each without its frame; cells are separated by ` | `."""

    @property
    def text(self) -> str:
        """All lines in one."""
        return " | ".join(self.lines)


def blocks(text: str) -> Iterator[Block]:
    """The devices of a boxed table: each begins with a line whose first word is its number.

    Lines before the first number belong to nobody, and so does all that follows the heading of another table.
    """
    current: Block | None = None
    for cells in boxed_lines(text):
        if any(word.lower().startswith("process") for word in cells[0]):
            break
        number = None if len(cells) == 1 else _number(cells[0])
        if current is not None and (number is not None or len(cells) == 1):
            yield current
            current = None
        if number is not None:
            current = Block(index=number, name=" ".join(cells[0][1:]))
        if current is not None:
            current.lines.append(" | ".join(" ".join(cell) for cell in cells))
    if current is not None:
        yield current


def _number(cell: Sequence[str]) -> int | None:
    """The number of a device that a cell begins with; None for a quantity such as `35 C`."""
    if not cell or not cell[0].isdecimal():
        return None
    return None if len(cell) > 1 and cell[1].lower() in _UNITS else int(cell[0])


def single(text: str, units: Mapping[str, float]) -> float | None:
    """The only quantity of a text in any of these units; None when there is none, or several.

    Args:
        text: words and cells of one device.
        units: factor to the base unit, by unit in small letters.
    """
    unit = "|".join(re.escape(name) for name in sorted(units, key=len, reverse=True))
    one = rf"{_NUMBER}\s*(?:{unit})"
    pattern = rf"(?P<behind>/\s*)?(?<![\w.+-])(?P<used>{one})(?:\s*/\s*{one})?(?![\w/.°])"
    found = list(re.finditer(pattern, text, re.IGNORECASE))
    # What stands behind a slash alone, as in `NA / 200W`, is what there is, not what is used.
    return quantity(found[0]["used"], units) if len(found) == 1 and found[0]["behind"] is None else None


def boxed_row(
    text: str, memory_units: Mapping[str, float], *, index: int | None = None, utilisation_needed: bool = True
) -> SmiRow | None:
    """What the words and cells of one device tell; None when there is neither a quantity nor an address among them.

    Args:
        text: of one device.
        memory_units: factor to bytes, by unit in small letters.
        index: the tool's number of the device.
        utilisation_needed: false where no source says that the tool tells one.

    Returns:
        A row, with the text when a quantity is missing, there twice, or not possible.
    """
    power_w = within(single(text, WATTS), LEAST_W, MOST_W)
    temperature_c = within(single(text, CELSIUS), LEAST_C, HOTTEST_C)
    used_bytes = whole(single(text, memory_units))
    share = within(single(text, PERCENT), 0.0, 1.0)
    needed = (power_w, temperature_c, used_bytes, *((share,) if utilisation_needed else ()))
    pci = find_pci(text)
    if pci is None and all(value is None for value in needed):
        return None
    return SmiRow(
        pci_bus_id=pci,
        index=index,
        power_w=power_w,
        temperature_c=temperature_c,
        utilisation=share,
        memory_used_bytes=used_bytes,
        raw=text if None in needed else None,
    )
