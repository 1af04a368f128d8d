"""DeepSpeed's names of the vendors' devices."""

from __future__ import annotations

from typing import Any

from hardware.base import Device
from runner.core.errors import HardwareError

VARIABLE = "DS_ACCELERATOR"
"""Environment variable: which accelerator DeepSpeed takes; without it, it takes the first that it finds installed."""
NAMES = frozenset({"cpu", "cuda", "xpu", "npu", "mps", "hpu", "mlu", "sdaa", "supa"})
"""Device types of torch that DeepSpeed knows under the same name (deepspeed/accelerator/real_accelerator.py)."""
POSING = {"torch_xmlir": "klxpu"}
"""Packages that show their devices as CUDA ones, to DeepSpeed's name for them."""


def accelerator_name(device: Device) -> str:
    """What DeepSpeed calls a vendor's devices; imports nothing.

    Raises:
        HardwareError: it does not know them.
    """
    found: Any = device
    posing = [POSING[package] for package in getattr(found, "packages", ()) if package in POSING]
    name = posing[0] if posing else getattr(found, "namespace", "cpu")
    if name not in NAMES and not posing:
        raise HardwareError(
            f"framework=deepspeed does not know the devices of {device.spec.title} (torch.{name}): DeepSpeed has "
            f"accelerators for {', '.join(sorted(NAMES))}. Choose framework=pytorch, which trains on them."
        )
    return str(name)
