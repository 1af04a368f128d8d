"""NVIDIA GPUs through `nvidia-smi --query-gpu=… --format=csv`: stands in for NVML where its binding is missing.

Drivers before 530 or so know neither `power.draw.instant` nor `clocks_event_reasons.active`, and one field they do not
know fails the whole query; so the tool is asked first which it knows (`--help-query-gpu`). `power.draw` is a
one-second mean on most GPUs since Ampere (NVIDIA's manual page of nvidia-smi).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.declared import DeclaredMeter
from hardware.meters.frame.fields import is_absent
from hardware.meters.frame.figures import Fields, Layout, clock, memory, power, temperature, told, utilisation
from hardware.meters.frame.forms import Csv
from hardware.meters.frame.row import SmiRow

OLDEST = ("uuid", "pci.bus_id", "power.draw", "temperature.gpu", "utilization.gpu", "memory.used", "clocks.current.sm")
"""Fields that every driver has which a supported PyTorch runs on."""
REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The newer name first."""
WANTED = (*OLDEST, "power.draw.instant", "mig.mode.current", *REASONS)

REASON_NAMES = {
    0x001: "GpuIdle",
    0x002: "ApplicationsClocksSetting",
    0x004: "SwPowerCap",
    0x008: "HwSlowdown",
    0x010: "SyncBoost",
    0x020: "SwThermalSlowdown",
    0x040: "HwThermalSlowdown",
    0x080: "HwPowerBrakeSlowdown",
    0x100: "DisplayClockSetting",
}
"""Bits of `nvmlClocksEventReason…` (nvml.h), by the names the `nvml` meter gives them."""


class NvidiaSmi(DeclaredMeter):
    """Power, temperature, utilisation, clock, throttle reasons and memory of whole GPUs; no energy counter."""

    name: ClassVar = "nvidia_smi"
    tools: ClassVar = ("nvidia-smi",)
    calls: tuple[tuple[str, ...], ...] = ()
    """Set per driver, in `open`."""
    forms: ClassVar = (Csv(header=frozenset({"uuid", "pci.bus_id"}), units_in_header=False),)
    layout: ClassVar = Layout(
        pci_bus_id=("pci.bus_id",),
        uuid=("uuid",),
        power_w=power("power.draw.instant", "power.draw"),
        temperature_c=temperature("temperature.gpu", bare=1.0),
        utilisation=utilisation("utilization.gpu"),
        memory_used_bytes=memory("memory.used"),
        clock_mhz=clock("clocks.current.sm"),
    )

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Ask which fields the driver knows, and find each device's row.

        Raises:
            MeterUnavailableError: no tool, no row that is understood, a device without a row, or MIG.
        """
        for device in devices:
            if (device.uuid or "").upper().startswith("MIG-"):
                raise MeterUnavailableError(
                    f"nvidia_smi: {device.uuid} is a MIG instance; power is only known for the whole GPU, "
                    "which others may use as well"
                )
        if devices:
            self.calls = ((f"--query-gpu={','.join(self._known_fields())}", "--format=csv"),)
        super().open(devices)

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per line of the table, by the names in its header."""
        return [self._row(fields) for fields in self.fields(outputs)]

    def _known_fields(self) -> tuple[str, ...]:
        """Those of WANTED that the tool names, each kind of reasons once; OLDEST where it names none."""
        known = set(re.findall(r'"([a-z0-9_.]+)"', self._run("--help-query-gpu")))
        if not known.intersection(OLDEST):
            return OLDEST
        reasons = next((name for name in REASONS if name in known), None)
        return tuple(name for name in WANTED if name in known and (name not in REASONS or name == reasons))

    def _row(self, fields: Fields) -> SmiRow:
        doubts: list[str] = []
        throttle = _reasons(fields, doubts)
        row = replace(self.layout.row(fields, doubts), throttle=throttle)
        if told(fields, ("mig.mode.current",)) != "Enabled":
            return row
        why = "is in MIG mode; power is only known for the whole GPU, not for an instance of it"
        return replace(row, refused=f"{row.uuid} {why}")


def _reasons(fields: Fields, doubts: list[str]) -> str | None:
    """Why the clock is not higher, joined by `+`; a bit without a name is written as a number."""
    text = next((fields[name].text for name in REASONS if name in fields), "")
    if is_absent(text):
        return None
    try:
        mask = int(text, 16)
    except ValueError:
        doubts.append(f"{REASONS[0]} {text}")
        return None
    bits = [1 << i for i in range(mask.bit_length()) if mask >> i & 1]
    return "+".join(REASON_NAMES.get(bit, hex(bit)) for bit in bits)
