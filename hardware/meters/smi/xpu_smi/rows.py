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
from hardware.meters.frame.figures import FASTEST_MHZ, HOTTEST_C, memory, power, temperature
from hardware.meters.frame.forms import Sections

FIRMWARE = re.compile(r"\d+(?:[.:]\d+)+")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SERIAL = 3
"""Position of the serial number; where there is none the temperatures begin here."""
SENSORS, CLOCKS, FIGURES = 4, 6, 16
"""Temperatures, clocks, and all numbers from the first temperature to the utilisation."""
MIB = 1 << 20
FORM = Sections(begins=re.compile(r"XPU[ \t]+(?P<pci>\S+)[ \t]*"))
POWER, TEMPERATURE = power("Power Readings/Power Draw"), temperature("Temperature/XPU Current Temp")
TOTAL = memory("Memory Usage/Total")


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
    """None when the clocks of the chip's parts differ."""
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
    """The device in one line of `-m`; None when it is not exactly one of the known layouts."""
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
    temperatures, drawn, clocks = values[:SENSORS], values[SENSORS], values[SENSORS + 1 : SENSORS + 1 + CLOCKS]
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
        power=drawn,
        clock_mhz=clocks[0] if clocks[0] > 0 and len(set(clocks)) == 1 else None,
        memory_used_mib=int(used),
        memory_total_mib=int(total),
        utilisation=percent / 100,
        raw=line.strip(),
    )


def parse_named(text: str) -> dict[str, Named]:
    """What `-q` printed, by PCI address; empty when it has no section that is understood."""
    found: dict[str, Named] = {}
    for fields in FORM.rows(text):
        pci = normal_pci(fields["@pci"].text)
        total_bytes = TOTAL.read(fields, [])
        if pci is not None:
            found[pci] = Named(
                power_w=POWER.read(fields, []),
                temperature_c=TEMPERATURE.read(fields, []),
                memory_total_mib=None if total_bytes is None else total_bytes / MIB,
            )
    return found
