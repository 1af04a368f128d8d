"""Moore Threads GPUs through the vendor's command line tool: `mthreads-gmi -q --json`, or `-q` where that is older.

Public sources of both forms: MooreThreads/torch_musa and musa-deploy read `-q` by name; SwanLab's collector reads the
JSON of an MTT S4000. The JSON holds texts with their units, some under names that end in a space (`Power Draw `).
Errors are printed on standard output.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.nodes import MTGPU_NODES, existing, node_number
from hardware.bus.pci import normal_pci
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.device_numbers import driver_numbers
from hardware.meters.frame.fields import BYTES, CELSIUS, MEGAHERTZ, PERCENT, WATTS, quantity, sections, within
from hardware.meters.frame.smi import SmiMeter, SmiRow

_JSON, _TEXT = ("-q", "--json"), ("-q",)
_HEAD = re.compile(r"GPU\s*(?P<index>\d+)\s+(?P<pci>[0-9a-fA-F:.]+)\s*$")
"""A GPU's first line in the text: `GPU0 00000000:2a:00.0`."""

_UNTOLD = frozenset({"", "na", "n/a", "-", "[not supported]", "not supported", "unknown"})
_MOST_W, _MOST_C = 3000.0, 150.0
"""No card draws more power, no chip gets hotter."""


class MthreadsGmi(SmiMeter):
    """Power, temperature, utilisation, clock and memory of each GPU; the tool tells no energy counter."""

    name: ClassVar[str] = "mthreads_gmi"
    tools: ClassVar[tuple[str, ...]] = ("mthreads-gmi",)
    calls: ClassVar[tuple[tuple[str, ...], ...]] = (_JSON,)
    numbered_by_driver: ClassVar[bool] = True

    device_root = Path("/")
    _call: tuple[str, ...] = _JSON

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Find out which form the tool prints, and each device's row.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, or a device without a row of its own.
        """
        self._call = _JSON
        try:
            self._call = _JSON if _gpus(self._tool.run(*_JSON)) is not None else _TEXT
        except MeterUnavailableError:
            self._call = _TEXT  # an option it does not know; any other reason comes again with the next call
        super().open(devices)

    def _outputs(self) -> list[str]:
        try:
            return [self._tool.run(*self._call)]
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {error}") from error

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per GPU, numbered as the driver numbers it where that can be told."""
        gpus = _gpus(outputs[0])
        found = [_text_row(head, values) for head, values in sections(outputs[0], _HEAD)]
        rows = found if gpus is None else [_json_row(gpu) for gpu in gpus]
        nodes = [node_number(node) for node in existing(MTGPU_NODES, self.device_root)]
        numbers = driver_numbers([row.index for row in rows], [number for number in nodes if number is not None])
        return [replace(row, index=None if row.index is None else numbers.get(row.index)) for row in rows]


def _gpus(text: str) -> list[Mapping[str, Any]] | None:
    """The GPUs in the JSON; null when it is not that form."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    gpus = answer.get("GPU") if isinstance(answer, dict) else None
    if not isinstance(gpus, list) or not all(isinstance(gpu, dict) for gpu in gpus):
        return None
    return gpus


def _json_row(gpu: Mapping[str, Any]) -> SmiRow:
    raw = json.dumps(gpu)
    index = _told(gpu, "Index")
    return _row(
        index=int(index) if index is not None and index.isdigit() else None,
        pci=_told(gpu, "PCI", "Bus ID"),
        uuid=_told(gpu, "GPU UUID"),
        power=_told(gpu, "Power Readings", "Power Draw"),
        temperature=_told(gpu, "Temperature", "GPU Current Temp"),
        utilisation=_told(gpu, "Utilization", "Gpu"),
        used=_told(gpu, "FB Memory Usage", "Used"),
        clock=_told(gpu, "Clocks", "Graphics"),
        raw=raw,
    )


def _text_row(head: re.Match[str], values: Mapping[str, list[str]]) -> SmiRow:
    def told(name: str) -> str | None:
        found = values.get(name, [])
        return _value(found[0]) if len(found) == 1 else None  # of several, which one is meant is not known

    raw = " ".join([head[0].strip(), *(f"{name}: {' / '.join(found)}" for name, found in values.items())])
    return _row(
        index=int(head["index"]),
        pci=head["pci"],
        uuid=told("GPU UUID"),
        power=told("Power Draw"),
        temperature=told("GPU Current Temp"),
        utilisation=told("Gpu"),
        used=told("Used"),
        clock=told("Graphics"),
        raw=raw,
    )


def _row(
    *,
    index: int | None,
    pci: str | None,
    uuid: str | None,
    power: str | None,
    temperature: str | None,
    utilisation: str | None,
    used: str | None,
    clock: str | None,
    raw: str,
) -> SmiRow:
    """A row from its texts; null is what the tool does not tell."""
    watts = within(quantity(power, WATTS), 0.0, _MOST_W) or None  # no card that answers draws nothing
    celsius = within(quantity(temperature, CELSIUS), -_MOST_C, _MOST_C)
    fraction = within(quantity(utilisation, PERCENT), 0.0, 1.0)
    used_bytes = within(quantity(used, BYTES), 0.0, float("inf"))
    megahertz = within(quantity(clock, MEGAHERTZ), 0.0, 1e5)
    pairs = ((power, watts), (temperature, celsius), (utilisation, fraction), (used, used_bytes), (clock, megahertz))
    return SmiRow(
        index=index,
        pci_bus_id=normal_pci(pci or ""),
        uuid=uuid,
        power_w=watts,
        temperature_c=celsius,
        utilisation=fraction,
        memory_used_bytes=None if used_bytes is None else round(used_bytes),
        clock_mhz=megahertz,
        raw=raw if any(text is not None and value is None for text, value in pairs) else None,
    )


def _told(gpu: Mapping[str, Any], *path: str) -> str | None:
    """The text under a path of names, spaces around a name aside; null when there is none, or it says so."""
    found: Any = gpu
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = next((value for key, value in found.items() if key.strip() == name), None)
    return _value(str(found)) if isinstance(found, str | int | float) else None


def _value(text: str) -> str | None:
    return None if text.strip().lower() in _UNTOLD else text.strip()
