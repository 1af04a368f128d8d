"""What a result was measured on: versions, host, devices. Found by the worker, told as one event."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from hardware.base import Device
from hardware.host import cpu_name

PACKAGES = (
    "touchstone",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "transformers",
    "numpy",
    "mlflow",
)


def environment(device: Device) -> dict[str, Any]:
    """Everything a reader needs to know about where a case ran. Call after `device.connect()`."""
    import torch

    host = {
        "cpu": cpu_name(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count(),
        "memory_gib": psutil.virtual_memory().total / 2**30,
        "system": platform.platform(),
    }
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "stack": device.versions(),
        "devices": [asdict(identity) for identity in device.identities()],
        "host": host,
        "threads_per_rank": torch.get_num_threads(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
