"""Hygon DCUs through `hy-smi`, Hygon's fork of rocm-smi: its JSON, else its table and the list of PCI addresses.

The table tells memory as a share of a size it does not tell, so memory stays None there. Its numbers are the tool's
own: a device is found by the PCI address that `--showbus` gives for the number, in either form.
Sources: recorded outputs of hy-smi and DTK's rocm-smi (`DCU … DCU%`, later `HCU … HCU%`; FlagPerf training/dcu).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from hardware.meters.frame.figures import Field, Layout, clock, power, temperature, utilisation
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter
from hardware.meters.smi.rocm_rows import card_row, parse_cards

JSON = (
    (
        *("--showbus", "--showpower", "--showtemp", "--showuse", "--showmeminfo", "vram"),
        *("--showclocks", "--json"),
    ),
)
TABLE = ((), ("--showbus",))
BUS = re.compile(r"^\s*(?:[DH]CU|GPU)\[(\d+)\]\s*:\s*PCI Bus:\s*(\S+)", re.MULTILINE)
COLUMNS = Layout(
    pci_bus_id=("@pci",),
    power_w=power("AvgPwr", most=3000.0, zero_is_absent=True),
    temperature_c=temperature("Temp", least=0.0),
    utilisation=utilisation("DCU%", "HCU%"),
    clock_mhz=clock("SCLK"),
)
"""Of the table, which writes a unit behind every number."""


class HySmi(SmiMeter):
    """Power, temperature, utilisation, clock and memory of each DCU; they tell no energy counter."""

    name: ClassVar = "hy_smi"
    tools: ClassVar = ("hy-smi", "/opt/hyhal/bin/hy-smi", "rocm-smi")
    calls = JSON
    alternatives: ClassVar = (TABLE,)
    partial: ClassVar = True

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
            same = len(words) == len(header)
            named = {name: Field(text=word) for name, word in zip(header, words, strict=True)} if same else {}
            row = COLUMNS.row(named | {"@pci": Field(text=buses.get(int(words[0]), ""))})
            raw = None if same and row.raw is None else " ".join(words)
            rows.append(replace(row, index=int(words[0]), raw=raw))
    return rows
