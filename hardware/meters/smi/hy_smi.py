"""Hygon DCUs through `hy-smi`, Hygon's fork of rocm-smi: its JSON, else its table and the list of PCI addresses.

The table tells memory as a share of a size it does not tell, so memory stays null there. Its numbers are the tool's
own: a device is found by the PCI address that `--showbus` gives for the number, in either form.
Sources: recorded outputs of hy-smi and DTK's rocm-smi (`DCU … DCU%`, later `HCU … HCU%`; FlagPerf training/dcu).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from hardware.bus.pci import normal_pci
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.command import Tool
from hardware.meters.frame.fields import CELSIUS, MEGAHERTZ, PERCENT, WATTS, quantity, within
from hardware.meters.frame.smi import SmiMeter, SmiRow
from hardware.meters.smi.rocm_rows import FASTEST_MHZ, HOTTEST_C, MOST_W, card_row, is_unknown, parse_cards

JSON = (
    (
        *("--showbus", "--showpower", "--showtemp", "--showuse", "--showmeminfo", "vram"),
        *("--showclocks", "--json"),
    ),
)
TABLE = ((), ("--showbus",))
BUS = re.compile(r"^\s*(?:[DH]CU|GPU)\[(\d+)\]\s*:\s*PCI Bus:\s*(\S+)", re.MULTILINE)
COLUMNS = {"Temp": "temperature_c", "AvgPwr": "power_w", "SCLK": "clock_mhz"}
UNITS = {
    "temperature_c": (CELSIUS, HOTTEST_C),
    "power_w": (WATTS, MOST_W),
    "clock_mhz": (MEGAHERTZ, FASTEST_MHZ),
    "utilisation": (PERCENT, 1.0),
}
"""Units and the most that is possible of each figure; the table writes a unit behind every number."""


class HySmi(SmiMeter):
    """Power, temperature, utilisation, clock and memory of each DCU; they tell no energy counter."""

    name: ClassVar[str] = "hy_smi"
    tools: ClassVar[tuple[str, ...]] = ("hy-smi", "/opt/hyhal/bin/hy-smi", "rocm-smi")
    calls: ClassVar[tuple[tuple[str, ...], ...]] = JSON

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._tool = Tool(*self.tools, timeout_s=timeout_s, partial=True)
        self._form: tuple[tuple[str, ...], ...] | None = None
        """Calls of the form that this version of the tool knows; null until one has given rows with PCI addresses."""

    def close(self) -> None:
        """Forget the devices and the form."""
        super().close()
        self._form = None

    def _outputs(self) -> list[str]:
        """What the calls of the known form print; on opening, of the first form that gives rows with addresses."""
        if self._form is not None:
            return self._run(self._form)
        first = self._run(JSON)
        if self._told(first):
            self._form = JSON
            return first
        try:
            second = self._run(TABLE)
        except MeterUnavailableError:
            return first
        if not self._told(second):
            return first
        self._form = TABLE
        return second

    def _told(self, outputs: Sequence[str]) -> bool:
        return any(row.pci_bus_id is not None for row in self.parse(outputs))

    def _run(self, calls: Sequence[tuple[str, ...]]) -> list[str]:
        try:
            return [self._tool.run(*arguments) for arguments in calls]
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {error}") from error

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """The cards of the JSON, else the rows of the table."""
        if len(outputs) == len(JSON):
            return [card_row(card) for card in parse_cards(outputs[0])]
        table, buses = outputs
        return parse_table(table, {int(number): address for number, address in BUS.findall(buses)})


def parse_table(text: str, buses: dict[int, str]) -> list[SmiRow]:
    """The rows below the header, by the header's names; a row of another length has its text and nothing else.

    Args:
        text: the table.
        buses: PCI address by the tool's number.
    """
    header: list[str] = []
    rows: list[SmiRow] = []
    for line in text.splitlines():
        words = line.split()
        if {"Temp", "AvgPwr"} <= set(words):
            header = words
        elif header and words and words[0].isdigit():
            rows.append(_table_row(header, words, normal_pci(buses.get(int(words[0]), ""))))
    return rows


def _table_row(header: Sequence[str], words: Sequence[str], pci: str | None) -> SmiRow:
    index, raw = int(words[0]), " ".join(words)
    if len(words) != len(header):
        return SmiRow(pci_bus_id=pci, index=index, raw=raw)
    names = COLUMNS | {f"{header[0]}%": "utilisation"}
    told = {names[column]: text for column, text in zip(header, words, strict=True) if column in names}
    figures = {name: within(quantity(told.get(name), units), 0.0, most) for name, (units, most) in UNITS.items()}
    understood = all(figures[name] is not None or is_unknown(text) for name, text in told.items())
    return SmiRow(
        pci_bus_id=pci,
        index=index,
        power_w=figures["power_w"] or None,  # a card that answers draws power
        temperature_c=figures["temperature_c"],
        utilisation=figures["utilisation"],
        clock_mhz=figures["clock_mhz"],
        raw=None if understood else raw,
    )
