"""Which vendor's devices are on this machine. Imports nothing heavy: it runs while the command line is composed."""

from __future__ import annotations

import importlib
import os
import pkgutil
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from hardware import vendors
from hardware.bus.nodes import existing
from hardware.packages import VENDORS, brought


def device_nodes(vendor: str, root: Path = Path("/")) -> list[Path]:
    """Device nodes of `vendor` that exist below `root`.

    A vendor's module names them as glob patterns, DEVICE_NODES; where those cannot tell its devices from another's, it
    finds them itself, by `find_nodes(root)`.
    """
    module = _modules().get(vendor) or _outside().get(vendor)
    return [] if module is None else _find(module, root)


def _modules() -> dict[str, ModuleType]:
    """The modules under `hardware/vendors`, by name."""
    found = pkgutil.walk_packages(vendors.__path__, f"{vendors.__name__}.")
    paths = {path.rpartition(".")[2]: path for path in sorted(module.name for module in found if not module.ispkg)}
    return {name: importlib.import_module(path) for name, path in sorted(paths.items())}


def _outside() -> dict[str, ModuleType]:
    """The modules of vendors that installed packages bring; one that cannot be imported finds nothing."""
    found: dict[str, ModuleType] = {}
    for point in brought(VENDORS):
        with suppress(Exception):
            found[point.name] = importlib.import_module(point.module)
    return found


def _find(module: ModuleType, root: Path) -> list[Path]:
    if hasattr(module, "find_nodes"):
        found: list[Path] = module.find_nodes(root)
        return found
    return existing(getattr(module, "DEVICE_NODES", ()), root)


def visible_count(vendor: str, variable: str | None, root: Path = Path("/")) -> int:
    """Number of `vendor`'s devices a process may use: those that `variable` lists, else all device nodes."""
    listed = os.environ.get(variable) if variable else None
    if listed is not None:
        return len([entry for entry in listed.split(",") if entry.strip() not in ("", "-1")])
    numbered = [node for node in device_nodes(vendor, root) if node.is_relative_to(root / "dev")]
    return len([node for node in numbered if node.name[-1].isdigit()])


def detect_vendor(root: Path = Path("/")) -> str:
    """Name of the vendor whose devices are here, the first by name of several; `cpu` when there is none.

    What packages bring is asked last: it is read only where no vendor of this tree is found.
    """
    every = (vendor for modules in (_modules, _outside) for vendor, module in modules().items() if _find(module, root))
    return next(every, "cpu")
