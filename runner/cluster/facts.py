"""What a node is: versions, driver, devices, room and clock, found in a moment and without importing a stack."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import socket
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from hardware.base import Device
from hardware.child import ROOT
from hardware.detect import visible_count
from hardware.device import load_device
from hardware.packages import installed_version
from hardware.sampling.station import FAILURES
from hardware.spec import VendorSpec
from hardware.stacks.host import cpu_name
from runner.config.schema import Case
from runner.interpreters.ask import answer_of
from runner.interpreters.distributions import distributions_of

PACKAGES = (
    *("touchstone", "torch", "torchvision", "torchmetrics", "pytorch-lightning", "triton"),
    *("transformers", "numpy", "mlflow"),
)
"""What a run's ranks are made of, whatever the framework."""
COMMUNICATION = ("nvidia-nccl-cu11", "nvidia-nccl-cu12", "nvidia-nccl-cu13", "oneccl", "oneccl-bind-pt")
"""Distributions that bring a communication library."""
OWN = ("conf", "hardware", "models", "runner")
OWN_FILES = (".py", ".yaml")


def node_facts(about: Case | VendorSpec, folder: Path) -> dict[str, Any]:
    """What this node is, as plain values that JSON can hold; what cannot be known is None.

    Args:
        about: the case that shall run here, or the vendor alone.
        folder: where this node will write; it need not be there yet.
    """
    vendor = about.vendor if isinstance(about, Case) else about
    emulated = isinstance(about, Case) and about.emulate
    device = _device(vendor, emulate=emulated)
    return {
        "host": socket.gethostname(),
        "boot_id": boot_id(),
        "kernel": f"{platform.machine()} {platform.release()}",
        "python": platform.python_version(),
        "packages": _packages(getattr(device, "packages", ())) | _framework_packages(about),
        "source": source_digest(),
        "driver": None if device is None else device.driver_version(),
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "niceness": os.nice(0) if hasattr(os, "nice") else None,
        "memory_gib": psutil.virtual_memory().total / 2**30,
        "devices": _devices(vendor, device, on_host=vendor.on_host or emulated),
        "folder": str(folder),
        "free_gib": _free_gib(folder),
        "wall_time_s": time.time(),
    }


def boot_id(root: Path = Path("/")) -> str | None:
    """The kernel's number of this boot: two agents that tell the same one share a machine. None outside Linux."""
    try:
        return (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


@cache
def source_digest(root: Path = ROOT) -> str:
    """Twelve digits of the hash of all code and configuration: a version number stays while a checkout changes."""
    digest = hashlib.sha256()
    for path in sorted(path for name in OWN for path in (root / name).rglob("*") if path.suffix in OWN_FILES):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def _device(vendor: VendorSpec, *, emulate: bool) -> Device | None:
    try:
        return load_device(vendor, emulate=emulate)
    except ValueError:
        return None  # whoever checks the case says why


def _packages(more: tuple[str, ...]) -> dict[str, str]:
    """Versions by metadata: nothing is imported. A package that is not installed is left out."""
    names = (*PACKAGES, *more, *COMMUNICATION)
    return {name: found for name in names if (found := installed_version(name)) is not None}


def _framework_packages(about: Case | VendorSpec) -> dict[str, str]:
    """Of a case those of its framework, in the interpreter of its ranks; else of all frameworks, in this one."""
    answer = answer_of(about) if isinstance(about, Case) else None
    if answer is not None:
        return answer.packages
    names = distributions_of(about.framework.name if isinstance(about, Case) else None)
    return {name: found for name in names if (found := installed_version(name)) is not None}


def _devices(vendor: VendorSpec, device: Device | None, *, on_host: bool) -> dict[str, Any]:
    """How many devices a process here sees, and which chips the driver lists, each with its number.

    Both are None on the host's processor, of which there is one; the number is None where nothing tells it.
    """
    if on_host:
        return {"visible": None, "chips": None}
    listed = None
    with contextlib.suppress(*FAILURES):  # a driver that does not answer is the worker's to report
        listed = None if device is None else device.listed()
    shown = vendor.visible_devices_env is not None and vendor.visible_devices_env in os.environ
    visible = visible_count(vendor.name, vendor.visible_devices_env)
    return {
        "visible": visible if visible or shown else None,
        "chips": None if listed is None else dict(sorted(Counter(one.name for one in listed).items())),
    }


def _free_gib(folder: Path) -> float | None:
    """Room where a folder lies, or will lie."""
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free / 2**30
    except OSError:
        return None
