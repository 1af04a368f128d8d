"""What `xpu_smi -m` and `xpu_smi -q` print, understood or refused.

`-m` prints one row per device without a header, separated by blanks, texts in quotes. Two layouts exist; they differ in
one field, and the firmware version, the only dotted field after the first four, tells them apart. Sources: FlagPerf's
monitors (fields 5 temperature, 9 power, 18 and 19 memory in MiB, 20 utilisation, 3 device, 22 model; one reads field 7
as the temperature), and for the fields between and the older layout public monitors of Baidu's cloud, SwanLab and
others: PCI address, board, device, [serial number,] four temperatures, power, six clocks, L3 used and size, memory used
and size, utilisation, firmware, [model …].

`-q` prints the same with names, a section per device that begins with `XPU <PCI address>`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from hardware.bus.pci import normal_pci

FIRMWARE = re.compile(r"\d+(?:[.:]\d+)+")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SERIAL = 3
"""Position of the serial number; where there is none the temperatures begin here."""
SENSORS, CLOCKS, FIGURES = 4, 6, 16
"""Temperatures, clocks, and all numbers from the first temperature to the utilisation."""
HOTTEST_C, FASTEST_MHZ = 150.0, 10_000.0


@dataclass(kw_only=True, slots=True, frozen=True)
class Row:
    """One device of `-m` whose layout was recognised and whose numbers are possible."""

    pci_bus_id: str
    board: str
    device: str
    serial: str | None
    temperature_c: float | None
    power: float
    """In the tool's unit: watts on newer boards, milliwatts on K200."""
    clock_mhz: float | None
    """Null when the clocks of the chip's parts differ."""
    memory_used_mib: int
    memory_total_mib: int
    utilisation: float
    """0..1."""
    raw: str


@dataclass(kw_only=True, slots=True, frozen=True)
class Named:
    """What `-q` says of one device, by name."""

    power_w: float | None
    temperature_c: float | None
    memory_total_mib: float | None


def row_pci(line: str) -> str | None:
    """The PCI address a line begins with, even if the rest of it is not understood."""
    words = line.split(maxsplit=1)
    return normal_pci(words[0]) if words else None


def parse_row(line: str) -> Row | None:
    """The device in one line of `-m`; null when it is not exactly one of the known layouts."""
    try:
        fields = shlex.split(line)
    except ValueError:
        return None
    pci = normal_pci(fields[0]) if fields else None
    firmware = next((i for i, field in enumerate(fields) if i > SENSORS and FIRMWARE.fullmatch(field)), None)
    begin = 0 if firmware is None else firmware - FIGURES
    if pci is None or begin not in (SERIAL, SERIAL + 1) or not fields[1].isdigit() or not fields[2].isdigit():
        return None
    numbers = fields[begin : begin + FIGURES]
    if not all(NUMBER.fullmatch(field) for field in numbers):
        return None
    values = [float(field) for field in numbers]
    temperatures, power, clocks = values[:SENSORS], values[SENSORS], values[SENSORS + 1 : SENSORS + 1 + CLOCKS]
    l3_used, l3_total, used, total, percent = values[SENSORS + 1 + CLOCKS :]
    possible = (
        max(temperatures) <= HOTTEST_C,
        max(clocks) <= FASTEST_MHZ,
        l3_used <= l3_total,
        used <= total,
        l3_total <= total,
        total > 0,
        percent <= 100,  # noqa: PLR2004
    )
    if not all(possible):
        return None
    die = [value for value in temperatures[:2] if value > 0] or [value for value in temperatures if value > 0]
    return Row(
        pci_bus_id=pci,
        board=fields[1],
        device=fields[2],
        serial=fields[SERIAL] if begin > SERIAL else None,
        temperature_c=max(die, default=None),
        power=power,
        clock_mhz=clocks[0] if clocks[0] > 0 and len(set(clocks)) == 1 else None,
        memory_used_mib=int(used),
        memory_total_mib=int(total),
        utilisation=percent / 100,
        raw=line.strip(),
    )


def parse_named(text: str) -> dict[str, Named]:
    """What `-q` printed, by PCI address; empty when it has no section that is understood."""
    found: dict[str, Named] = {}
    sections = re.split(r"^XPU[ \t]+(\S+)[ \t]*$", text, flags=re.MULTILINE)
    for address, body in zip(sections[1::2], sections[2::2], strict=True):
        pci = normal_pci(address)
        if pci is not None:
            found[pci] = Named(
                power_w=_named(body, r"Power Draw", "W"),
                temperature_c=_named(body, r"XPU Current Temp", "C"),
                memory_total_mib=_named(body, r"Memory Usage\s*\n\s*Total", "MiB"),
            )
    return found


def _named(body: str, name: str, unit: str) -> float | None:
    """The one number behind a name; null when it is missing, stands there twice, or has another unit."""
    values = re.findall(rf"^[ \t]*{name}[ \t]*:[ \t]*([0-9.]+)[ \t]*{unit}[ \t]*$", body, re.MULTILINE)
    return float(values[0]) if len(values) == 1 and NUMBER.fullmatch(values[0]) else None
