"""Hexaflake chips through `hxsmi`, which prints one boxed table and has no machine-readable form that is documented.

All that is public is what FlagPerf filters out of it (inference/docker_images/hexaflake): each device takes two lines,
one with temperature and power and the state `stb`, one with `used MiB / total MiB`. Its heading is not public, so
quantities are told by their units, in any order, and what is there twice or not at all is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hardware.bus.pci import find_pci
from hardware.meters.frame.boxed import MIB, Block, blocks, possible_celsius, possible_watts, raw_unless, single
from hardware.meters.frame.fields import CELSIUS, PERCENT, WATTS, within
from hardware.meters.frame.smi import SmiMeter, SmiRow


class Hxsmi(SmiMeter):
    """Power, temperature, utilisation and memory of each device; there is no energy counter.

    Devices are found by PCI address where the tool prints one, else by number: the engine counts from 0, as it does.
    """

    name: ClassVar[str] = "hxsmi"
    tools: ClassVar[tuple[str, ...]] = ("hxsmi",)
    calls: ClassVar[tuple[tuple[str, ...], ...]] = ((),)
    numbered_by_driver: ClassVar[bool] = True

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per device; a block without any quantity is none of a device's."""
        return [row for block in blocks(outputs[0]) if (row := _row(block)) is not None]


def _row(block: Block) -> SmiRow | None:
    text = block.text
    power_w = possible_watts(single(text, WATTS))
    temperature_c = possible_celsius(single(text, CELSIUS))
    memory_bytes = single(text, MIB)
    needed = (power_w, temperature_c, memory_bytes)
    pci = find_pci(text)
    if pci is None and all(value is None for value in needed):
        return None
    return SmiRow(
        pci_bus_id=pci,
        index=block.index,
        power_w=power_w,
        temperature_c=temperature_c,
        utilisation=within(single(text, PERCENT), 0, 1),  # no source says that there is one
        memory_used_bytes=None if memory_bytes is None else round(memory_bytes),
        raw=raw_unless(needed, text),
    )
