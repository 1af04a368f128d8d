"""Intel Gaudi through Habana's command line tool, as a table with commas by its header (`hl-smi -Q … -f csv`).

Fields and options: docs.habana.ai, System Management Interface Tool. The header names the units, `power.draw [W]`; the
values repeat them or not, by version. Each Gaudi has its own power sensor, also where a board carries several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.pci import normal_pci
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.fields import BYTES, CELSIUS, MEGAHERTZ, PERCENT, WATTS, csv_rows, quantity, within
from hardware.meters.frame.smi import SmiMeter, SmiRow

FIELDS = "name,uuid,bus_id,power.draw,temperature.aip,utilization.aip,memory.used"
CLOCK = "clocks.current.soc"
"""Not known to older versions, which refuse the whole query for it."""
MOST_W = 3000.0
"""More than any module draws; 0 and 65535 are sensors that do not answer."""

_UNTOLD = frozenset({"", "-", "n/a", "na", "[n/a]", "not supported", "[not supported]"})
_UNITS: dict[str, dict[str, float]] = {
    "power.draw": WATTS,
    "temperature.aip": CELSIUS,
    "utilization.aip": PERCENT,
    "memory.used": BYTES,
    CLOCK: MEGAHERTZ,
}
_LIMITS: dict[str, tuple[float, float]] = {
    "power.draw": (1.0, MOST_W),
    "temperature.aip": (-40.0, 150.0),
    "utilization.aip": (0.0, 1.0),
}


class HlSmi(SmiMeter):
    """Power, temperature, utilisation, memory and clock of each Gaudi; hl-smi tells no energy counter."""

    name: ClassVar[str] = "hl_smi"
    tools: ClassVar[tuple[str, ...]] = ("hl-smi",)
    calls: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("-Q", f"{FIELDS},{CLOCK}", "-f", "csv"),
        ("-Q", FIELDS, "-f", "csv"),
    )
    """Two forms of the one call, not two calls: the second for versions that refuse the first."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._call = self.calls[0]

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find each device's row, without the clock where this version does not know it.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row of its own.
        """
        self._call = self.calls[0]
        try:
            super().open(devices)
        except MeterUnavailableError:
            self._call = self.calls[1]
            super().open(devices)

    def _outputs(self) -> list[str]:
        try:
            return [self._tool.run(*self._call)]
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {error}") from error

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per Gaudi; lines before the header, such as warnings, are passed over."""
        lines = outputs[0].splitlines()
        begins = next((number for number, line in enumerate(lines) if _is_header(line)), None)
        return [] if begins is None else [_row(row) for row in csv_rows("\n".join(lines[begins:]))]


def _is_header(line: str) -> bool:
    names = {name.strip() for name in line.split(",")}
    return {"uuid", "bus_id"} <= names


def _row(cells: Mapping[str, str]) -> SmiRow:
    fields = {name.partition("[")[0].strip(): (name, text) for name, text in cells.items()}
    values = {field: _value(field, *fields[field]) for field in _UNITS if field in fields}
    address, memory = normal_pci(cells["bus_id"]), values.get("memory.used")
    doubtful = [
        f"{fields[field][0]}: {fields[field][1]}"
        for field, value in values.items()
        if value is None and _told(fields[field][1]) is not None
    ]
    if address is None and _told(cells["bus_id"]) is not None:
        doubtful.append(f"bus_id: {cells['bus_id']}")
    return SmiRow(
        pci_bus_id=address,
        uuid=_told(cells["uuid"]),
        power_w=values.get("power.draw"),
        temperature_c=values.get("temperature.aip"),
        utilisation=values.get("utilization.aip"),
        memory_used_bytes=None if memory is None else round(memory),
        clock_mhz=values.get(CLOCK),
        raw="; ".join(doubtful) or None,
    )


def _value(field: str, header: str, text: str) -> float | None:
    """A cell in base units; the header's unit, in square brackets, counts where the cell has none."""
    unit = header.partition("[")[2].partition("]")[0].strip().lower()
    value = quantity(text, _UNITS[field], bare=_UNITS[field].get(unit))
    return within(value, *_LIMITS.get(field, (0.0, float("inf"))))


def _told(text: str) -> str | None:
    return None if text.lower() in _UNTOLD else text
