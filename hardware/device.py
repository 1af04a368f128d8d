"""From a vendor's YAML to its `Device`."""

from __future__ import annotations

from hardware.base import Device
from hardware.packages import VENDORS
from hardware.registry import Registry
from hardware.spec import VendorSpec

DEVICES = Registry(kind="vendor's device", group=VENDORS, base="hardware.base:Device")
"""Devices of installed packages by name; those of this tree are named by their dotted paths."""


RUNTIMES = Registry(kind="runtime", group="touchstone.runtimes", base="hardware.runtimes.runtime:RuntimeDevice")
"""How frameworks other than PyTorch reach devices, by dotted path."""


def load_device(spec: VendorSpec, *, emulate: bool = False, runtime: str | None = None) -> Device:
    """The device of a vendor, not yet connected.

    Args:
        spec: the vendor's YAML; `spec.device` is a dotted path, or a name registered under `touchstone.vendors`.
        emulate: take the host CPU in the vendor's place.
        runtime: dotted path of a `RuntimeDevice`, through which another framework than PyTorch reaches the devices.

    Raises:
        ValueError: `spec.device` leads to no `Device` class; says where it ends.
    """
    try:
        device_class: type[Device] = DEVICES.find(spec.device)
    except ValueError as error:
        raise ValueError(f"vendor.device: {error}") from error
    device: Device
    if emulate:
        from hardware.emulation import Emulated

        device = Emulated(spec)
    else:
        device = device_class(spec)
    return device if runtime is None else RUNTIMES.find(runtime)(device, on_host=emulate or spec.on_host)
