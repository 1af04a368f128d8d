"""What `mx-smi -j` and `mx-smi` print, understood by names.

`-j` prints, after a line with the version, an object whose keys are the GPUs' PCI addresses; the table has two lines
per GPU under two lines of headings, and several layouts. Sources: outputs of mx-smi 2.2.12 and 2.3.1 on a C500
(github.com/ywh555hhh/collect-hardware-info; its `--summary` shows that the board's total is the sum of the ways), of
2.1.12 and 2.2.4 on C500 and C550, of 2.2.9 in ms-swift's page on MetaX, of an N260 (AIMA), and FlagPerf's of 2.0.12.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from hardware.bus.pci import find_pci, normal_pci
from hardware.meters.frame.fields import WATTS, boxed_lines, is_absent, quantity, within
from hardware.meters.frame.figures import (
    MOST_W,
    Field,
    Fields,
    Layout,
    clock,
    memory,
    power,
    temperature,
    told,
    utilisation,
)
from hardware.meters.frame.forms import flat, keys_once
from hardware.meters.frame.row import SmiRow

MACHINE_FORM = Layout(
    index=("device_id",),
    temperature_c=temperature("hotspot", bare=1.0),
    utilisation=utilisation("utilization", bare=0.01),
    clock_mhz=clock("clocks/XCORE", "clocks/XCORE/XCORE_CLK", bare=1.0),
)
TABLE = Layout(
    power_w=power("power"),
    temperature_c=temperature("temp"),
    utilisation=utilisation("util"),
    memory_used_bytes=memory("memory"),
)
HEADINGS = {
    "pci": r"bus-?id",
    "board": r"^board",
    "sliced": r"sgpu-m",
    "util": r"gpu-util",
    "temp": r"temp",
    "power": r"pwr|power",
    "memory": r"memory-usage",
}
"""What a heading's cell says of the figures below it."""
WAYS = "board_power/power/"
WAY = re.compile(r"Way ?\d+")
"""One of the supply lines whose powers add up to the board's."""


@dataclass(kw_only=True, slots=True, frozen=True)
class MxGpu:
    """One GPU of either form."""

    row: SmiRow
    sliced: bool
    """Whether parts of it are lent as sGPUs, whose power nobody measures."""
    board: str | None = None
    """The tool's number of its board, which the table alone tells."""


def parse_machine_form(text: str) -> list[MxGpu]:
    """The GPUs of `mx-smi -j`; none when the text holds no such object."""
    begin = text.find("{")
    try:
        found = json.JSONDecoder(object_pairs_hook=keys_once).raw_decode(text, begin)[0] if begin >= 0 else {}
    except json.JSONDecodeError:
        return []
    cards = [(normal_pci(key), value) for key, value in found.items() if isinstance(value, dict)]
    return [_card(pci, flat(card)) for pci, card in cards if pci is not None]


def _card(pci: str, fields: Fields) -> MxGpu:
    reason = told(fields, ("unavailable_reason",))
    doubts = [f"unavailable: {reason}"] if reason else []
    power_w = _sum_of_ways(fields, doubts)
    row = replace(MACHINE_FORM.row(fields, doubts), pci_bus_id=pci, power_w=power_w)
    return MxGpu(row=row, sliced="sgpu_count" in fields and fields["sgpu_count"].text != "0")


def _sum_of_ways(fields: Fields, doubts: list[str]) -> float | None:
    """The board's power; None as soon as one of its supply lines is not understood."""
    ways = {name.removeprefix(WAYS): field.text for name, field in fields.items() if name.startswith(WAYS)}
    if not ways:
        return None
    # One line may carry nothing, unlike the whole board.
    numbers = [
        within(quantity(text, WATTS, bare=1.0), 0.0, MOST_W) for name, text in ways.items() if WAY.fullmatch(name)
    ]
    total_w = sum(number for number in numbers if number is not None)
    if len(numbers) < len(ways) or None in numbers or total_w <= 0:
        doubts.append(f"board_power {json.dumps(ways)}")
        return None
    return total_w


def parse_table(text: str) -> list[MxGpu]:
    """The GPUs of `mx-smi`; none when no heading for PCI addresses is found."""
    places: dict[str, tuple[int, int]] = {}
    gpus: list[MxGpu] = []
    lines = [[" ".join(words) for words in cells] for cells in boxed_lines(text)]
    for upper, lower in pairwise(lines):
        if len(upper) < 2 or len(upper) != len(lower):  # noqa: PLR2004 -- a ruled line, or another table
            continue
        if not places:
            found = dict(_headings(upper, lower))
            places = found if "pci" in found else {}
        elif (pci := find_pci(upper[places["pci"][1]] if places["pci"][1] < len(upper) else "")) is not None:
            gpus.append(_boxed(pci, (upper, lower), places, gpus[-1].board if gpus else None))
    return gpus


def _headings(upper: list[str], lower: list[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Line and column of each figure; the PCI address stands on the first line."""
    for figure, pattern in HEADINGS.items():
        cells = [(0, column, text) for column, text in enumerate(upper)]
        cells += [(1, column, text) for column, text in enumerate(lower)] if figure != "pci" else []
        place = next(((line, column) for line, column, text in cells if re.search(pattern, text.lower())), None)
        if place is not None:
            yield figure, place


def _boxed(
    pci: str, lines: tuple[list[str], list[str]], places: dict[str, tuple[int, int]], above: str | None
) -> MxGpu:
    """One GPU of the table; a GPU without a number of its board stands on the board above."""
    cells = {figure: lines[line][column] for figure, (line, column) in places.items()}
    fields = {
        "power": _first(r"\S+W\b", cells.get("power", "").split("/")[0]),  # usage / limit
        "temp": _first(r"\S+C\b", cells.get("temp", "")),
        "util": _first(r"\S+%", cells.get("util", "")),
        "memory": _used(cells.get("memory", "")),
    }
    row = TABLE.row({name: Field(text=text) for name, text in fields.items() if text is not None})
    board = _first(r"^\d+", cells.get("board", "")) or above if "board" in places else None
    row = replace(row, pci_bus_id=pci, raw=row.raw or _unread(fields, cells))
    return MxGpu(row=row, sliced="enabled" in cells.get("sliced", "").lower(), board=board)


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match.group() if match else None


def _used(text: str) -> str | None:
    """`826 MiB` of `826/65536 MiB`."""
    match = re.fullmatch(r"(\S+?)\s*/\s*\S+?\s*([KMG]iB)", text)
    return f"{match[1]} {match[2]}" if match else None


def _unread(fields: Mapping[str, str | None], cells: Mapping[str, str]) -> str | None:
    """Cells that have a text, but nothing like a figure in it."""
    doubts = [
        f"{name} {cells[name]}"
        for name, text in fields.items()
        if text is None and name in cells and not all(map(is_absent, re.split(r"[\s/]+", cells[name])))
    ]
    return "; ".join(doubts) or None
