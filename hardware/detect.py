"""Which vendor's devices are on this machine. Imports nothing heavy: it runs while the command line is composed."""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path

from hardware import vendors
from hardware.nodes import existing


def device_nodes(vendor: str, root: Path = Path("/")) -> list[Path]:
    """Device nodes of `vendor` that exist below `root`: those its module's DEVICE_NODES (glob patterns) names."""
    return existing(_patterns().get(vendor, ()), root)


def _patterns() -> dict[str, tuple[str, ...]]:
    """DEVICE_NODES of every module under `hardware/vendors` that has some, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(vendors.__path__))
    modules = {name: importlib.import_module(f"{vendors.__name__}.{name}") for name in names}
    return {name: module.DEVICE_NODES for name, module in modules.items() if hasattr(module, "DEVICE_NODES")}


def visible_count(vendor: str, variable: str | None, root: Path = Path("/")) -> int:
    """Number of `vendor`'s devices a process may use: those that `variable` lists, else all device nodes."""
    listed = os.environ.get(variable) if variable else None
    if listed is not None:
        return len([entry for entry in listed.split(",") if entry.strip() not in ("", "-1")])
    numbered = [node for node in device_nodes(vendor, root) if node.is_relative_to(root / "dev")]
    return len([node for node in numbered if node.name[-1].isdigit()])


def detect_vendor(root: Path = Path("/")) -> str:
    """Name of the vendor whose devices are here, the first by name of several; `cpu` when there is none."""
    return next((vendor for vendor, patterns in _patterns().items() if existing(patterns, root)), "cpu")
