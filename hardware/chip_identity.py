"""Which chip of the catalogue a case's devices are: all of them the same, and whole.

A name is not enough. Drivers give a part of a chip the name of the whole one (MI300X in CPX, virtual GPUs), and a card
of two devices the name of each (Max 1550 in COMPOSITE). What does not fit its entry has none: a figure relative to
another chip's peak would be wrong by a factor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardware.chips import Chip, find_chip

LEAST_MEMORY, MOST_MEMORY = 0.6, 1.4
"""Memory that a device shows ÷ its entry's, between which it is that chip: what a driver keeps for itself and error
correction take less, the next smaller part and the next larger chip of a name differ by half at least."""
ALIKE = 1.1
"""Memory of the largest device ÷ the smallest one's, up to which devices of one name are of one kind."""
GIB = 2**30


@dataclass(kw_only=True, slots=True, frozen=True)
class KnownChip:
    """The chip a case ran on: its name, and its entry in the catalogue where it has one."""

    name: str | None
    entry: Chip | None
    reason: str | None
    """Why there is no entry."""
    unlike: bool = False
    """Whether the devices are of several kinds, so that no rate of one device is theirs."""


def identify(configured: str | None, devices: Sequence[Mapping[str, Any]]) -> KnownChip:
    """The chip by its exact name, as the driver gives it or as `vendor.chip` says; never a similar one.

    Args:
        configured: `vendor.chip`; it names what the driver does not, and contradicts it in vain.
        devices: of the case's ranks, as `DeviceIdentity` in form of a dictionary.
    """
    names = list(dict.fromkeys(_entry_or_own_name(device) for device in devices))
    if not names:
        return _by_name(configured)
    if len(names) > 1:
        why = f"the case's devices are of different kinds ({', '.join(names)}): no one peak is theirs"
        return KnownChip(name=" + ".join(sorted(names)), entry=None, reason=why, unlike=True)
    sizes = [device["memory_bytes"] for device in devices if device.get("memory_bytes")]
    if sizes and max(sizes) > ALIKE * min(sizes):
        why = f"the case's devices named {names[0]} have between {_gib(min(sizes))} and {_gib(max(sizes))} of memory"
        return KnownChip(name=names[0], entry=None, reason=f"{why}: no one peak is theirs", unlike=True)
    part = devices[0].get("partition")
    told = find_chip(names[0])
    wanted = None if configured is None else _by_name(_with_part(configured, part))
    if wanted is None or (told is not None and wanted.entry == told):
        return _fitting(_by_name(names[0]), sizes)
    if told is not None:
        why = f"vendor.chip={configured} contradicts the driver, which says {told.name}"
        return KnownChip(name=told.name, entry=None, reason=why)
    return _fitting(wanted, sizes)


def _by_name(name: str | None) -> KnownChip:
    if name is None:
        hint = "no chip of this vendor is here; name one with vendor.chip=NAME"
        return KnownChip(name=None, entry=None, reason=hint)
    entry = find_chip(name)
    why = None if entry else f"chips.yaml has no chip named {name!r}"
    return KnownChip(name=entry.name if entry else name, entry=entry, reason=why)


def _entry_or_own_name(device: Mapping[str, Any]) -> str:
    """The catalogue's name of a device: its aliases are one kind."""
    name = _with_part(str(device["name"]), device.get("partition"))
    entry = find_chip(name)
    return entry.name if entry else name


def _with_part(name: str, part: str | None) -> str:
    """What a device is looked up as: `AMD Instinct MI300X (CPX)` is not the chip of that name."""
    return name if part is None else f"{name} ({part})"


def _fitting(chip: KnownChip, sizes: Sequence[int]) -> KnownChip:
    """The chip, unless the device's memory says that it is a part of it, or more."""
    expected = None if chip.entry is None else chip.entry.memory_gib
    if expected is None or not sizes or LEAST_MEMORY <= sizes[0] / GIB / expected <= MOST_MEMORY:
        return chip
    name = f"{chip.name} ({_gib(sizes[0])})"
    why = f"the device shows {_gib(sizes[0])} of memory and {chip.name} has {expected:g}: it is a part of it, or more"
    return KnownChip(name=name, entry=None, reason=why)


def _gib(size: float) -> str:
    return f"{size / GIB:.3g} GiB"
