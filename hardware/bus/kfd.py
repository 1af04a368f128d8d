"""Devices of the kernel's compute driver KFD, which AMD's and Hygon's GPUs share: which are there, and whose they are.

/dev/kfd and /dev/dri are the same for both vendors, so the PCI vendor decides. The driver lists its devices under
/sys/class/kfd/kfd/topology (Linux, drivers/gpu/drm/amd/amdkfd/kfd_topology.c): a node with SIMD units is a GPU. Where
that list cannot be read, PCI functions of a fitting class that have a render node stand in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardware.bus.nodes import node_number

AMD, HYGON = 0x1002, 0x1D94
"""PCI vendors (pci.ids: Advanced Micro Devices [AMD/ATI]; Chengdu Haiguang IC Design)."""
DISPLAY, ACCELERATOR, COPROCESSOR = 0x0300, 0x1200, 0x0B40
"""PCI classes such devices have: display controllers of any kind, processing accelerators, and co-processors, as
which `lspci` shows Hygon's K100_AI."""


@dataclass(kw_only=True, slots=True, frozen=True)
class KfdGpu:
    """One GPU of the compute driver whose render node this process can see."""

    pci_bus_id: str
    vendor_id: int
    unique_id: int | None
    """The driver's number of the chip, the sixteen digits of ROCm's UUID; None when it tells none."""
    render_node: Path


def find_gpus(vendor_id: int, root: Path = Path("/")) -> list[KfdGpu]:
    """The GPUs of a PCI vendor, in the driver's order."""
    if not (root / "dev/kfd").exists():
        return []
    listed = list(_listed(root))
    return [gpu for gpu in listed or _on_the_bus(root) if gpu.vendor_id == vendor_id and gpu.render_node.exists()]


def render_nodes(vendor_id: int, root: Path = Path("/")) -> list[Path]:
    """Render nodes of a vendor's GPUs: what a process needs besides /dev/kfd."""
    return sorted(gpu.render_node for gpu in find_gpus(vendor_id, root))


def _listed(root: Path) -> Iterator[KfdGpu]:
    """GPUs of the driver's own list; those that a container may not see cannot be read."""
    nodes = (root / "sys/class/kfd/kfd/topology/nodes").glob("[0-9]*")
    for node in sorted(nodes, key=lambda path: node_number(path) or 0):
        values = _properties(node / "properties")
        if not values.get("simd_count"):
            continue  # a CPU
        pci = _address(values.get("domain", 0), values.get("location_id", 0))
        minor = values.get("drm_render_minor")
        render = root / f"dev/dri/renderD{minor}" if minor else _render_node(_pci_folder(root, pci), root)
        if render is not None:
            # What the bus says of the vendor is the device's own word; the list's is its driver's.
            vendor = _hexadecimal(_pci_folder(root, pci) / "vendor") or values.get("vendor_id", 0)
            yield KfdGpu(
                pci_bus_id=pci, vendor_id=vendor, unique_id=values.get("unique_id") or None, render_node=render
            )


def _on_the_bus(root: Path) -> Iterator[KfdGpu]:
    for folder in sorted((root / "sys/bus/pci/devices").glob("*")):
        kind = (_hexadecimal(folder / "class") or 0) >> 8
        if kind & 0xFF00 != DISPLAY and kind not in (ACCELERATOR, COPROCESSOR):
            continue
        vendor, render = _hexadecimal(folder / "vendor"), _render_node(folder, root)
        if vendor is not None and render is not None:
            yield KfdGpu(pci_bus_id=folder.name, vendor_id=vendor, unique_id=None, render_node=render)


def _properties(file: Path) -> dict[str, int]:
    """`name number` lines; empty where the file is missing or not for this container."""
    try:
        lines = [line.split() for line in file.read_text(errors="replace").splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}  # noqa: PLR2004


def _address(domain: int, location: int) -> str:
    """PCI address of KFD's `location_id`: bus in the high byte, device and function in the low one."""
    return f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"


def _pci_folder(root: Path, address: str) -> Path:
    return root / "sys/bus/pci/devices" / address


def _render_node(folder: Path, root: Path) -> Path | None:
    node = next(iter(sorted((folder / "drm").glob("renderD*"))), None)
    return None if node is None else root / "dev/dri" / node.name


def _hexadecimal(file: Path) -> int | None:
    try:
        return int(file.read_text().strip(), 16)
    except (OSError, ValueError):
        return None
