"""TsingMicro chips through `tsm_smi`, which prints one boxed table and has no machine-readable form that is documented.

A card of one chip takes one row:
`|  0  TX8110-64GB-PCIe  11100  42C  96W / 200W  |  00000000:82:00.0  |  15146M / 65536M  0%  |  1  |`
(FlagPerf base/vendors/tsingmicro). A card of several chips takes a row per chip, and only its first names the card
(public monitors of FlagOS). No source shows the heading, so columns are told by their units, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from hardware.bus.pci import find_pci
from hardware.meters.frame.boxed import Block, blocks, possible_celsius, possible_watts, raw_unless, single
from hardware.meters.frame.fields import CELSIUS, PERCENT, WATTS, within
from hardware.meters.frame.smi import SmiMeter, SmiRow

MEGABYTES = {"m": 2.0**20, "g": 2.0**30}
"""Of 2^20 bytes: the tool calls the memory of a 64 GB card 65536M."""


class TsmSmi(SmiMeter):
    """Power, temperature, utilisation and memory of each chip, found by its PCI address; there is no energy counter."""

    name: ClassVar[str] = "tsm_smi"
    tools: ClassVar[tuple[str, ...]] = ("tsm_smi",)
    calls: ClassVar[tuple[tuple[str, ...], ...]] = ((),)

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per chip."""
        return [row for block in blocks(outputs[0]) for row in _chips(block)]


def _chips(block: Block) -> list[SmiRow]:
    """The rows of one card; a line that holds no quantity at all is none of a chip's.

    Where not every chip of a card tells a power, nothing says whether the others' is theirs or the whole card's: then
    none of them has any.
    """
    rows = [row for line in block.lines if (row := _chip(line)) is not None]
    if all(row.power_w is not None for row in rows):
        return rows
    return [replace(row, power_w=None, raw=block.text) for row in rows]


def _chip(line: str) -> SmiRow | None:
    power_w = possible_watts(single(line, WATTS))
    temperature_c = possible_celsius(single(line, CELSIUS))
    memory_bytes = single(line, MEGABYTES)
    utilisation = within(single(line, PERCENT), 0, 1)
    pci = find_pci(line)
    values = (power_w, temperature_c, memory_bytes, utilisation)
    if pci is None and all(value is None for value in values):
        return None
    return SmiRow(
        pci_bus_id=pci,
        power_w=power_w,
        temperature_c=temperature_c,
        utilisation=utilisation,
        memory_used_bytes=None if memory_bytes is None else round(memory_bytes),
        raw=raw_unless(values, line),
    )
