"""Moore Threads GPUs through the vendor's command line tool: `mthreads-gmi -q --json`, or `-q` where that is older.

Public sources of both forms: MooreThreads/torch_musa and musa-deploy read `-q` by name; SwanLab's collector reads the
JSON of an MTT S4000. The JSON holds texts with their units, some under names that end in a space (`Power Draw `).
Errors are printed on standard output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hardware.bus.nodes import MTGPU_NODES
from hardware.meters.frame.declared import DeclaredMeter
from hardware.meters.frame.device_numbers import numbers_of_nodes
from hardware.meters.frame.figures import Layout, clock, memory, power, temperature, utilisation
from hardware.meters.frame.forms import Json, Sections
from hardware.meters.frame.row import SmiRow

_BEGINS = re.compile(r"GPU\s*(?P<index>\d+)\s+(?P<pci>[0-9a-fA-F:.]+)\s*")
"""A GPU's first line in the text: `GPU0 00000000:2a:00.0`."""


class MthreadsGmi(DeclaredMeter):
    """Power, temperature, utilisation, clock and memory of each GPU; the tool tells no energy counter."""

    name: ClassVar = "mthreads_gmi"
    tools: ClassVar = ("mthreads-gmi",)
    calls = (("-q", "--json"),)
    alternatives: ClassVar = ((("-q",),),)
    numbered_by_driver: ClassVar = True
    forms: ClassVar = (Json(devices="GPU"), Sections(begins=_BEGINS))
    layout: ClassVar = Layout(
        index=("Index", "@index"),
        pci_bus_id=("@pci", "PCI/Bus ID"),
        uuid=("GPU UUID",),
        power_w=power("Power Readings/Power Draw", most=3000.0),
        temperature_c=temperature("Temperature/GPU Current Temp"),
        utilisation=utilisation("Utilization/Gpu"),
        memory_used_bytes=memory("FB Memory Usage/Used"),
        clock_mhz=clock("Clocks/Graphics"),
        whole_text=True,
    )

    device_root = Path("/")

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per GPU, numbered as the driver numbers it where that can be told."""
        rows = super().parse(outputs)
        numbers = numbers_of_nodes([row.index for row in rows], MTGPU_NODES, self.device_root)
        return [replace(row, index=number) for row, number in zip(rows, numbers, strict=True)]
