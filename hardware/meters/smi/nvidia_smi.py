"""NVIDIA GPUs through `nvidia-smi --query-gpu=… --format=csv`: stands in for NVML where its binding is missing.

Drivers before 530 or so know neither `power.draw.instant` nor `clocks_event_reasons.active`, and one field they do not
know fails the whole query; so the tool is asked first which it knows (`--help-query-gpu`). `power.draw` is a
one-second mean on most GPUs since Ampere (NVIDIA's manual page of nvidia-smi).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from hardware.base import DeviceIdentity
from hardware.bus.pci import normal_pci
from hardware.meters.base import MeterUnavailableError
from hardware.meters.frame.fields import csv_rows
from hardware.meters.frame.smi import SmiMeter, SmiRow
from hardware.meters.frame.told import ABSENT, Told

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


class NvidiaSmi(SmiMeter):
    """Power, temperature, utilisation, clock, throttle reasons and memory of whole GPUs; no energy counter."""

    name: ClassVar[str] = "nvidia_smi"
    tools: ClassVar[tuple[str, ...]] = ("nvidia-smi",)
    calls: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Set per driver, in `open`."""

    def __init__(self, timeout_s: float = 5.0) -> None:
        super().__init__(timeout_s)
        self._query: tuple[str, ...] = OLDEST
        self._in_mig_mode: set[str | None] = set()
        """UUIDs of the GPUs that are split."""
        self._last_rows: list[SmiRow] = []

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
            self._query = self._known_fields()
        super().open(devices)
        for device in devices:
            for row in self._rows_of(device, self._last_rows):
                if row.uuid in self._in_mig_mode:
                    raise MeterUnavailableError(
                        f"nvidia_smi: {row.uuid} is in MIG mode; power is only known for the whole GPU, "
                        "not for an instance of it"
                    )

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per line of the table, by the names in its header."""
        found = [{name.split(" [")[0]: text for name, text in row.items()} for row in csv_rows(_table(outputs[0]))]
        self._in_mig_mode = {row.get("uuid") for row in found if row.get("mig.mode.current") == "Enabled"}
        self._last_rows = [_row(fields) for fields in found]
        return self._last_rows

    def _outputs(self) -> list[str]:
        return [self._run(f"--query-gpu={','.join(self._query)}", "--format=csv")]

    def _known_fields(self) -> tuple[str, ...]:
        """Those of WANTED that the tool names, each kind of reasons once; OLDEST where it names none."""
        known = set(re.findall(r'"([a-z0-9_.]+)"', self._run("--help-query-gpu")))
        if not known.intersection(OLDEST):
            return OLDEST
        reasons = next((name for name in REASONS if name in known), None)
        return tuple(name for name in WANTED if name in known and (name not in REASONS or name == reasons))

    def _run(self, *arguments: str) -> str:
        try:
            return self._tool.run(*arguments)
        except MeterUnavailableError as error:
            raise MeterUnavailableError(f"{self.name}: {error}") from error


def _table(text: str) -> str:
    """The text from its header on; the tool may complain of a lost GPU before it."""
    lines = text.splitlines()
    names = [line.split(",")[0].split(" [")[0].strip() for line in lines]
    begin = next((i for i, name in enumerate(names) if name in WANTED), len(lines))
    return "\n".join(lines[begin:])


def _row(fields: dict[str, str]) -> SmiRow:
    told = Told(fields=fields)
    return SmiRow(
        pci_bus_id=normal_pci(fields.get("pci.bus_id", "")),
        uuid=fields.get("uuid") or None,
        power_w=told.power_w("power.draw.instant", "power.draw"),
        temperature_c=told.temperature_c("temperature.gpu", bare=1.0),
        utilisation=told.utilisation("utilization.gpu"),
        memory_used_bytes=told.memory_bytes("memory.used"),
        clock_mhz=told.clock_mhz("clocks.current.sm"),
        throttle=_reasons(told),
        raw=told.raw,
    )


def _reasons(told: Told) -> str | None:
    """Why the clock is not higher, joined by `+`; a bit without a name is written as a number."""
    text = next((found for name in REASONS if (found := told.fields.get(name)) is not None), "")
    if text.lower() in ABSENT:
        return None
    try:
        mask = int(text, 16)
    except ValueError:
        told.doubts.append(f"{REASONS[0]} {text}")
        return None
    bits = [1 << i for i in range(mask.bit_length()) if mask >> i & 1]
    return "+".join(REASON_NAMES.get(bit, hex(bit)) for bit in bits)
