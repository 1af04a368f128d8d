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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from hardware.bus.pci import normal_pci
from hardware.meters.frame.fields import boxed_lines, is_absent, quantity
from hardware.meters.frame.figures import Field, Fields, Layout, power, temperature, told, utilisation
from hardware.meters.frame.row import SmiRow

_VALUE = re.compile(r"[^\s/]+\s*/\s*[^\s/]+|[^\s/]+")
"""A value or a pair such as `3318 / 65536` or `59356/ 65536`."""

Line: TypeAlias = list[list[str]]
"""The cells of a line, and the words of each."""

LAYOUT = Layout(
    pci_bus_id=("Bus-Id",),
    power_w=power("Power(W)", bare=1.0, least=1e-3, most=3000.0),
    temperature_c=temperature("Temp(C)", bare=1.0),
    utilisation=utilisation("AICore(%)", bare=0.01),
)
HBM, MEMORY = "HBM-Usage(MB)", "Memory-Usage(MB)"
_EVERYWHERE = ("Power(W)", "Temp(C)", "AICore(%)")
"""Every version's table has these columns."""
_MIB = float(1 << 20)


@dataclass(kw_only=True, slots=True, frozen=True)
class NpuChip:
    """What the table says of one chip, and how it counts it."""

    row: SmiRow
    npu: int
    """Number of the card."""
    physical: int | None = None
    """Under `Phy-ID`: the number of the device node."""
    device: int | None = None
    """Under `Device`: the number of the chip among those the tool sees."""
    shares_power: bool = False
    """Whether the layout is that of cards with two chips, which have one power sensor (`-` beside the second)."""


def parse_chips(text: str) -> list[NpuChip]:
    """The chips of the table; lines before its headers, and the table of processes behind it, are left out."""
    return [_chip(names, card, line) for names, card, line in _pairs(text)]


def _pairs(text: str) -> Iterator[tuple[tuple[Line, Line], Line, Line | None]]:
    """Both header lines, a card's line and its chip's; None where no chip's line follows."""
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
    return normal_pci(address) is not None or (bool(address) and is_absent(address))


def _chip(names: tuple[Line, Line], card: Line, line: Line | None) -> NpuChip:
    above, below = names
    npu = int(card[0][0])
    text = " | ".join(" ".join(cell) for cell in [*card, *(line or [])])
    if line is None:
        return NpuChip(npu=npu, row=SmiRow(raw=f"no line of its chip: {text}"))
    fields = {name: Field(text=value) for name, value in (_values(above, card) | _values(below, line)).items()}
    doubts = [f"{name} is not there" for name in _EVERYWHERE if name not in fields]
    used_bytes = _used_bytes(fields, doubts)
    row = LAYOUT.row(fields, doubts)
    return NpuChip(
        npu=npu,
        physical=_number(fields, "Phy-ID"),
        device=_number(fields, "Device"),
        shares_power="Phy-ID" in below[0],
        row=replace(row, memory_used_bytes=used_bytes, raw=row.raw and f"{row.raw}: {text}"),
    )


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


def _number(fields: Fields, name: str) -> int | None:
    text = told(fields, (name,))
    return int(text) if text is not None and text.isdigit() else None


def _used_bytes(fields: Fields, doubts: list[str]) -> int | None:
    """Used memory of the chip: of its HBM where it has some, else of what is under `Memory-Usage`."""
    name = HBM if HBM in fields and _pair(fields[HBM].text) != (0.0, 0.0) else MEMORY
    text = fields[name].text if name in fields else "is not there"
    if is_absent(text):
        return None
    pair = _pair(text)
    if pair is None or pair[1] == 0.0 or pair[0] > pair[1]:
        doubts.append(f"{name} {text}")
        return None
    return round(pair[0])


def _pair(text: str) -> tuple[float, float] | None:
    """Used and whole of a pair, in bytes."""
    used, slash, whole = text.partition("/")
    used_bytes, whole_bytes = quantity(used, {}, bare=_MIB), quantity(whole, {}, bare=_MIB)
    return None if not slash or used_bytes is None or whole_bytes is None else (used_bytes, whole_bytes)
