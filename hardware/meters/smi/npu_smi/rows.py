"""Understands the table of `npu-smi info`: two lines per chip, each under a header line of its own.

    | NPU   Name     | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
    | Chip  Phy-ID   | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
    | 0     910B3    | OK            | 101.8       43                0    / 0             |
    | 0              | 0000:C1:00.0  | 0           0    / 0          3318 / 65536         |

Versions and chips differ in the names: `Device`, `Phy-ID` or nothing beside `Chip`; `HBM-Usage` or not. Every value is
taken by the name in its header. Megabytes are MiB: a chip of 64 GiB shows 65536.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from hardware.bus.pci import normal_pci
from hardware.meters.frame.fields import boxed_lines, quantity, within

_VALUE = re.compile(r"[^\s/]+\s*/\s*[^\s/]+|[^\s/]+")
"""A value or a pair such as `3318 / 65536` or `59356/ 65536`."""

_UNTOLD = frozenset({"na", "n/a", "-"})

Line: TypeAlias = list[list[str]]
"""The cells of a line, and the words of each."""

_MIB = float(1 << 20)
_MOST_W, _MOST_C = 3000.0, 150.0
"""No card draws more power, no chip gets hotter."""


@dataclass(kw_only=True, slots=True)
class Chip:
    """What the table says of one chip. What it does not tell, or what was not understood, is null."""

    npu: int
    """Number of the card."""
    physical: int | None = None
    """Under `Phy-ID`: the number of the device node."""
    device: int | None = None
    """Under `Device`: the number of the chip among those the tool sees."""
    pci_bus_id: str | None = None
    shares_power: bool = False
    """Whether the layout is that of cards with two chips, which have one power sensor (`-` beside the second)."""
    power_w: float | None = None
    temperature_c: float | None = None
    utilisation: float | None = None
    memory_used_bytes: int | None = None
    doubts: list[str] = field(default_factory=list)
    """What was not understood."""
    text: str = ""
    """Both lines."""


def parse_chips(text: str) -> list[Chip]:
    """The chips of the table; lines before its headers, and the table of processes behind it, are left out."""
    chips: list[Chip] = []
    for names, card, line in _pairs(text):
        chip = _chip(names, card, line)
        if chip is not None:
            chips.append(chip)
    return chips


def _pairs(text: str) -> Iterator[tuple[tuple[Line, Line], Line, Line | None]]:
    """Both header lines, a card's line and its chip's; null where no chip's line follows."""
    above: Line | None = None
    below: Line | None = None
    card: Line | None = None
    for line in boxed_lines(text):
        first = line[0]
        if first[:2] == ["NPU", "Chip"]:
            break  # the table of processes
        if first[:1] == ["NPU"]:
            above = line
        elif first[:1] == ["Chip"]:
            below = line
        elif above is not None and below is not None and first[:1] and first[0].isdigit():
            if card is not None and _is_chip_line(below, line):
                yield (above, below), card, line
                card = None
            else:
                if card is not None:
                    yield (above, below), card, None
                card = None if _is_chip_line(below, line) else line
    if above is not None and below is not None and card is not None:
        yield (above, below), card, None


def _is_chip_line(below: Line, line: Line) -> bool:
    """A chip's line has an address, or says that it has none, and pairs where its header says usage."""
    if len(line) != len(below):
        return False
    address = " ".join(_under(below, line).get("Bus-Id", ""))
    return normal_pci(address) is not None or address.lower() in _UNTOLD


def _chip(names: tuple[Line, Line], card: Line, line: Line | None) -> Chip | None:
    above, below = names
    number = card[0][0]
    text = " | ".join(" ".join(cell) for cell in [*card, *(line or [])])
    if line is None:
        return Chip(npu=int(number), doubts=["no line of its chip"], text=text)
    told = _values(above, card) | _values(below, line)
    chip = Chip(npu=int(number), shares_power="Phy-ID" in below[0], text=text)
    chip.physical = _whole(told.get("Phy-ID"))
    chip.device = _whole(told.get("Device"))
    chip.pci_bus_id = normal_pci(told.get("Bus-Id", ""))
    chip.power_w = _number(chip, told, "Power(W)", 1.0, least=1e-3, most=_MOST_W)
    chip.temperature_c = _number(chip, told, "Temp(C)", 1.0, least=-_MOST_C, most=_MOST_C)
    chip.utilisation = _number(chip, told, "AICore(%)", 0.01, least=0.0, most=1.0)
    chip.memory_used_bytes = _used_bytes(chip, told)
    return chip


def _under(header: Line, line: Line) -> dict[str, list[str]]:
    """The words of each cell by the one name its header has."""
    return {names[0]: words for names, words in zip(header, line, strict=True) if len(names) == 1}


def _values(header: Line, line: Line) -> dict[str, str]:
    """Values by name, cell for cell; nothing from a cell that has another number of values than names."""
    found: dict[str, str] = {}
    if len(header) != len(line):
        return found
    for names, words in zip(header, line, strict=True):
        values = _VALUE.findall(" ".join(words))
        # A chip's name may be of several words; it is not read.
        values = values[: len(names)] if names[-1:] == ["Name"] else values
        if len(values) == len(names):
            found |= dict(zip(names, values, strict=True))
    return found


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _number(
    chip: Chip, told: Mapping[str, str], name: str, factor: float, *, least: float, most: float
) -> float | None:
    """A value in base units; null, with a doubt unless the tool says that it has none, for anything else."""
    text = told.get(name)
    if text is not None and text.lower() in _UNTOLD:
        return None
    value = within(quantity(text, {}, bare=factor), least, most)
    if value is None:
        chip.doubts.append(f"{name} {'is not there' if text is None else text}")
    return value


def _used_bytes(chip: Chip, told: Mapping[str, str]) -> int | None:
    """Used memory of the chip: of its HBM where it has some, else of what is under `Memory-Usage`."""
    text = told.get("HBM-Usage(MB)")
    name = "HBM-Usage(MB)"
    if text is None or _pair(text) == (0.0, 0.0):
        name, text = "Memory-Usage(MB)", told.get("Memory-Usage(MB)")
    if text is not None and text.lower() in _UNTOLD:
        return None
    pair = _pair(text or "")
    if pair is None or pair[1] == 0.0 or pair[0] > pair[1]:
        chip.doubts.append(f"{name} {'is not there' if text is None else text}")
        return None
    return round(pair[0])


def _pair(text: str) -> tuple[float, float] | None:
    """Used and whole of a pair, in bytes."""
    used, slash, whole = text.partition("/")
    numbers: Sequence[float | None] = [quantity(part, {}, bare=_MIB) for part in (used, whole)]
    if not slash or numbers[0] is None or numbers[1] is None:
        return None
    return numbers[0], numbers[1]
