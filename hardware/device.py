"""From a vendor's YAML to its `Device`."""

from __future__ import annotations

import importlib

from hardware.base import Device
from hardware.packages import VENDORS as ENTRY_POINTS
from hardware.packages import brought
from hardware.spec import VendorSpec


def load_device(spec: VendorSpec, *, emulate: bool = False) -> Device:
    """The device of a vendor, not yet connected.

    Args:
        spec: the vendor's YAML; `spec.device` is a dotted path, or a name registered under `touchstone.vendors`.
        emulate: take the host CPU in the vendor's place.

    Raises:
        ValueError: `spec.device` leads to no `Device` class; says where it ends.
    """
    device_class = _find_class(spec.device)
    if not (isinstance(device_class, type) and issubclass(device_class, Device)):
        raise ValueError(f"vendor.device={spec.device} is {device_class!r}, not a subclass of hardware.base.Device")
    if emulate:
        from hardware.emulation import Emulated

        return Emulated(spec)
    return device_class(spec)


def _find_class(path: str) -> object:
    """A name without a dot is looked up among what packages registered: that reads every installed package's files."""
    module_name, dot, class_name = path.rpartition(".")
    if not dot:
        return _find_registered(path)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"vendor.device={path}: cannot import {module_name}: {error}") from error
    if not hasattr(module, class_name):
        raise ValueError(f"vendor.device={path}: {module_name} has no {class_name}")
    found: object = getattr(module, class_name)
    return found


def _find_registered(name: str) -> object:
    points = brought(ENTRY_POINTS)
    registered = [point for point in points if point.name == name]
    if not registered:
        known = ", ".join(sorted(point.name for point in points)) or "nothing is"
        raise ValueError(
            f"vendor.device={name} is neither a dotted path (package.module.Class) nor registered under {ENTRY_POINTS} "
            f"({known})"
        )
    try:
        return registered[0].load()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"vendor.device={name}: {registered[0].value} cannot be imported: {error}") from error
