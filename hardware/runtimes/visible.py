"""Which devices of a driver's list a runtime sees: a vendor's variable chooses among them, by number or UUID."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from hardware.base import Device, DeviceIdentity

INSTANCE = re.compile(r"\bMIG\b")
"""In the names that CUDA gives to instances of a GPU; the driver's list has whole GPUs alone."""


def shown(vendor: Device, listed: list[DeviceIdentity]) -> list[DeviceIdentity] | None:
    """Those that the vendor's variable names, in its order; None where it does not tell which they are."""
    variable = vendor.spec.visible_devices_env
    value = os.environ.get(variable) if variable else None
    by_number = vendor.numbers_as_listed(listed)
    if value is None:
        return listed if by_number else None
    found = []
    for index, part in enumerate(part.strip() for part in value.split(",") if part.strip()):
        match = [one for place, one in enumerate(listed) if part == one.uuid or (by_number and part == str(place))]
        if len(match) != 1:
            return None
        found.append(replace(match[0], index=index))
    return found


def divided(whole: DeviceIdentity, name: str) -> DeviceIdentity:
    """A device of the list; of one that is divided, the runtime's name of it tells that it is an instance."""
    return replace(whole, partition="MIG", memory_bytes=None) if INSTANCE.search(name) else whole
