"""What a tool says of one device, before it is a reading."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True, frozen=True)
class SmiRow:
    """What a tool says of one device. What it does not tell, or what was not understood, is None."""

    pci_bus_id: str | None = None
    """As `hardware.bus.pci.normal_pci` writes it."""
    uuid: str | None = None
    """UUID or serial number, as the tool writes it."""
    index: int | None = None
    """The tool's own number of the device."""
    board: str | None = None
    """Name of the board, where several devices share one; unique on the machine."""
    board_power_w: float | None = None
    """Power of the whole board, told by one or by each of its devices; such devices have no power of their own."""
    power_w: float | None = None
    energy_j: float | None = None
    temperature_c: float | None = None
    utilisation: float | None = None
    """0..1."""
    memory_used_bytes: int | None = None
    clock_mhz: float | None = None
    throttle: str | None = None
    raw: str | None = None
    """The row's own text where something in it was not understood; None when all of it was."""
    refused: str | None = None
    """Why the device cannot be measured at all, such as a part of a chip whose power is the chip's; opening says so."""
