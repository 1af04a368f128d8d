"""The quick look: which vendors' devices are here, and what is missing. Imports no stack and asks no driver."""

from __future__ import annotations

import difflib
import importlib.util
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from hardware.base import Device
from hardware.detect import device_nodes
from hardware.device import load_device
from hardware.spec import VendorSpec
from hardware.stacks.host import cpu_name
from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.doctor.findings import VendorFinding

_ADAPTER: TypeAdapter[VendorSpec] = TypeAdapter(VendorSpec)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def vendor_names(folder: Path | None = None) -> list[str]:
    """Every vendor that a folder has; null: that `conf/` has and installed packages bring."""
    return packages.choices("vendor") if folder is None else sorted(path.stem for path in folder.glob("*.yaml"))


def _leaf(name: str, folder: Path | None) -> Path | None:
    path = packages.leaf("vendor", name) if folder is None else folder / f"{name}.yaml"
    return path if path is not None and path.is_file() else None


def require_known(name: str, folder: Path | None = None) -> None:
    """Refuse a name that no vendor has. A shipped one is known without a look at what packages bring.

    Raises:
        ConfigurationError: names the nearest one.
    """
    if _leaf(name, folder) is None:
        names = vendor_names(folder)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigurationError(f"There is no vendor {name}.{hint} There are: {', '.join(names)}.")


def load_spec(name: str, folder: Path | None = None) -> VendorSpec:
    """A vendor's leaf, without Hydra.

    Raises:
        ConfigurationError: the leaf is not valid.
    """
    path = _leaf(name, folder)
    if path is None:
        raise ConfigurationError(f"There is no vendor {name}.")
    try:
        return _ADAPTER.validate_python(yaml.load(path.read_text(), Loader=_LOADER))
    except (ValidationError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} is not a vendor's leaf: {' '.join(str(error).split())}") from error


def survey(names: Sequence[str], folder: Path | None = None) -> list[VendorFinding]:
    """Look for these vendors; one whose leaf is not valid is not usable.

    Raises:
        ConfigurationError: a name that no vendor has.
    """
    for name in names:
        require_known(name, folder)
    return [_survey(name, folder) for name in names]


def _survey(name: str, folder: Path | None) -> VendorFinding:
    try:
        return _find(load_spec(name, folder))
    except ConfigurationError as error:
        return VendorFinding(name=name, title=name, found=False, usable=False, missing=str(error))


def _find(spec: VendorSpec) -> VendorFinding:
    nodes = [str(node) for node in device_nodes(spec.name)]
    packages: Mapping[str, str | None] = {}
    try:
        device = load_device(spec)
        missing = device.unavailable_reason()
        packages = _packages(device)
    except ValueError as error:
        missing = str(error)
    return VendorFinding(
        name=spec.name,
        title=spec.title,
        found=bool(nodes) or missing is None,
        usable=missing is None,
        missing=missing,
        todo=spec.install or None if missing else None,
        nodes=nodes,
        packages=dict(packages),
        precisions=list(spec.precisions),
        compilers=list(spec.compilers),
        tasks=list(spec.tasks),
        meters=list(spec.meters),
        container_options=spec.container_options,
    )


def _packages(device: Device) -> dict[str, str | None]:
    """Versions by their metadata: nothing is imported."""
    return {name: _version(name) for name in ("torch", *getattr(device, "packages", ()))}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        there = importlib.util.find_spec(package) is not None
        return "installed, by a distribution of another name" if there else None


def host() -> dict[str, Any]:
    """The machine."""
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "memory_gib": psutil.virtual_memory().total / 2**30,
        "system": platform.platform(),
        "python": platform.python_version(),
    }
