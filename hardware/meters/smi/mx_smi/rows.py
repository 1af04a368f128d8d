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
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hardware.bus.pci import find_pci, normal_pci
from hardware.meters.frame.fields import WATTS, boxed_lines, quantity, within
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.told import ABSENT, MOST_W, Told

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
WAY = re.compile(r"Way ?\d+")
"""One of the supply lines whose powers add up to the board's."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Gpu:
    """One GPU of either form."""

    row: SmiRow
    sliced: bool
    """Whether parts of it are lent as sGPUs, whose power nobody measures."""
    board: str | None = None
    """The tool's number of its board, which the table alone tells."""


def parse_machine_form(text: str) -> list[Gpu]:
    """The GPUs of `mx-smi -j`; none when the text holds no such object."""
    begin = text.find("{")
    try:
        found = json.JSONDecoder().raw_decode(text, begin)[0] if begin >= 0 else {}
    except json.JSONDecodeError:
        return []
    cards = [(normal_pci(key), value) for key, value in found.items() if isinstance(value, dict)]
    return [_card(pci, card) for pci, card in cards if pci is not None]


def _card(pci: str, card: Mapping[str, Any]) -> Gpu:
    clocks = card.get("clocks")
    xcore = clocks.get("XCORE") if isinstance(clocks, dict) else None
    told = Told(
        fields={
            "hotspot": _text(card.get("hotspot")),
            "utilization": _text(card.get("utilization")),
            "XCORE": _text(xcore.get("XCORE_CLK") if isinstance(xcore, dict) else xcore),
        }
    )
    if reason := _text(card.get("unavailable_reason")):
        told.doubts.append(f"unavailable: {reason}")
    number = card.get("device_id")
    row = SmiRow(
        pci_bus_id=pci,
        index=number if isinstance(number, int) else None,
        power_w=_sum_of_ways(card.get("board_power"), told),
        temperature_c=told.temperature_c("hotspot", bare=1.0),
        utilisation=told.utilisation("utilization", bare=0.01),
        clock_mhz=told.clock_mhz("XCORE", bare=1.0),
        raw=told.raw,
    )
    return Gpu(row=row, sliced=card.get("sgpu_count") not in (None, 0, "0"))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _sum_of_ways(board: Any, told: Told) -> float | None:
    """The board's power; null as soon as one of its supply lines is not understood."""
    power = board.get("power") if isinstance(board, dict) else None
    ways = {name: _text(value) for name, value in power.items()} if isinstance(power, dict) else {}
    if not ways:
        return None
    # One line may carry nothing, unlike the whole board.
    numbers = [
        within(quantity(text, WATTS, bare=1.0), 0.0, MOST_W) for name, text in ways.items() if WAY.fullmatch(name)
    ]
    total_w = sum(number for number in numbers if number is not None)
    if len(numbers) < len(ways) or None in numbers or total_w <= 0:
        told.doubts.append(f"board_power {json.dumps(ways)}")
        return None
    return total_w


def parse_table(text: str) -> list[Gpu]:
    """The GPUs of `mx-smi`; none when no heading for PCI addresses is found."""
    places: dict[str, tuple[int, int]] = {}
    gpus: list[Gpu] = []
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


def _boxed(pci: str, lines: tuple[list[str], list[str]], places: dict[str, tuple[int, int]], above: str | None) -> Gpu:
    """One GPU of the table; a GPU without a number of its board stands on the board above."""
    cells = {figure: lines[line][column] for figure, (line, column) in places.items()}
    fields = {
        "power": _first(r"\S+W\b", cells.get("power", "").split("/")[0]),  # usage / limit
        "temp": _first(r"\S+C\b", cells.get("temp", "")),
        "util": _first(r"\S+%", cells.get("util", "")),
        "memory": _used(cells.get("memory", "")),
    }
    told = Told(fields=fields)
    board = _first(r"^\d+", cells.get("board", "")) or above if "board" in places else None
    row = SmiRow(
        pci_bus_id=pci,
        power_w=told.power_w("power"),
        temperature_c=told.temperature_c("temp"),
        utilisation=told.utilisation("util"),
        memory_used_bytes=told.memory_bytes("memory"),
        raw=told.raw or _unread(fields, cells),
    )
    return Gpu(row=row, sliced="enabled" in cells.get("sliced", "").lower(), board=board)


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
        if text is None and name in cells and not {word.lower() for word in re.split(r"[\s/]+", cells[name])} <= ABSENT
    ]
    return "; ".join(doubts) or None
