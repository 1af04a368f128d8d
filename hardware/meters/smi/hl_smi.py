"""Intel Gaudi through Habana's command line tool, as a table with commas by its header (`hl-smi -Q … -f csv`).

Fields and options: docs.habana.ai, System Management Interface Tool. The header names the units, `power.draw [W]`; the
values repeat them or not, by version. Each Gaudi has its own power sensor, also where a board carries several.
"""

from __future__ import annotations

from typing import ClassVar

from hardware.meters.frame.declared import DeclaredMeter
from hardware.meters.frame.figures import Layout, clock, memory, power, temperature, utilisation
from hardware.meters.frame.forms import Csv

FIELDS = "name,uuid,bus_id,power.draw,temperature.aip,utilization.aip,memory.used"
CLOCK = "clocks.current.soc"
"""Not known to older versions, which refuse the whole query for it."""


class HlSmi(DeclaredMeter):
    """Power, temperature, utilisation, memory and clock of each Gaudi; hl-smi tells no energy counter."""

    name: ClassVar = "hl_smi"
    tools: ClassVar = ("hl-smi",)
    calls = (("-Q", f"{FIELDS},{CLOCK}", "-f", "csv"),)
    alternatives: ClassVar = ((("-Q", FIELDS, "-f", "csv"),),)
    forms: ClassVar = (Csv(header=frozenset({"uuid", "bus_id"})),)
    layout: ClassVar = Layout(
        pci_bus_id=("bus_id",),
        uuid=("uuid",),
        power_w=power("power.draw", least=1.0, most=3000.0),
        temperature_c=temperature("temperature.aip"),
        utilisation=utilisation("utilization.aip"),
        memory_used_bytes=memory("memory.used"),
        clock_mhz=clock(CLOCK),
    )
