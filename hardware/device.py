"""From a vendor's YAML to its `Device`."""

from __future__ import annotations

from hardware.base import Device
from hardware.packages import VENDORS
from hardware.registry import Registry
from hardware.spec import VendorSpec

DEVICES = Registry(kind="vendor's device", group=VENDORS, base="hardware.base:Device")
"""Devices of installed packages by name; those of this tree are named by their dotted paths."""


def load_device(spec: VendorSpec, *, emulate: bool = False) -> Device:
    """The device of a vendor, not yet connected.

    Args:
        spec: the vendor's YAML; `spec.device` is a dotted path, or a name registered under `touchstone.vendors`.
        emulate: take the host CPU in the vendor's place.

    Raises:
        ValueError: `spec.device` leads to no `Device` class; says where it ends.
    """
    try:
        device_class: type[Device] = DEVICES.find(spec.device)
    except ValueError as error:
        raise ValueError(f"vendor.device: {error}") from error
    if emulate:
        from hardware.emulation import Emulated

        return Emulated(spec)
    return device_class(spec)
