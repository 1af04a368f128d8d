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

from hardware.meters.frame.boxed import Block, blocks, boxed_row
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter

MEGABYTES = {"m": 2.0**20, "g": 2.0**30}
"""Of 2^20 bytes: the tool calls the memory of a 64 GB card 65536M."""


class TsmSmi(SmiMeter):
    """Power, temperature, utilisation and memory of each chip, found by its PCI address; there is no energy counter."""

    name: ClassVar = "tsm_smi"
    tools: ClassVar = ("tsm_smi",)
    calls = ((),)

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per chip."""
        return [row for block in blocks(outputs[0]) for row in _chips(block)]


def _chips(block: Block) -> list[SmiRow]:
    """The rows of one card; a line that holds no quantity at all is none of a chip's.

    Where not every chip of a card tells a power, nothing says whether the others' is theirs or the whole card's: then
    none of them has any.
    """
    rows = [row for line in block.lines if (row := boxed_row(line, MEGABYTES)) is not None]
    if all(row.power_w is not None for row in rows):
        return rows
    return [replace(row, power_w=None, raw=block.text) for row in rows]
