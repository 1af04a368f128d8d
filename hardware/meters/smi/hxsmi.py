"""Hexaflake chips through `hxsmi`, which prints one boxed table and has no machine-readable form that is documented.

All that is public is what FlagPerf filters out of it (inference/docker_images/hexaflake): each device takes two lines,
one with temperature and power and the state `stb`, one with `used MiB / total MiB`. Its heading is not public, so
quantities are told by their units, in any order, and what is there twice or not at all is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hardware.meters.frame.boxed import MIB, blocks, boxed_row
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter


class Hxsmi(SmiMeter):
    """Power, temperature, utilisation and memory of each device; there is no energy counter.

    Devices are found by PCI address where the tool prints one, else by number: the engine counts from 0, as it does.
    """

    name: ClassVar = "hxsmi"
    tools: ClassVar = ("hxsmi",)
    calls = ((),)
    numbered_by_driver: ClassVar = True

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per device; a block without any quantity is none of a device's."""
        rows = [boxed_row(one.text, MIB, index=one.index, utilisation_needed=False) for one in blocks(outputs[0])]
        return [row for row in rows if row is not None]
