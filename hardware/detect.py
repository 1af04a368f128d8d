"""Which vendor's devices are on this machine. Standard library only: it runs while the command line is composed."""

from __future__ import annotations

from pathlib import Path

_NODES: dict[str, tuple[str, ...]] = {
    "nvidia": ("/dev/nvidia[0-9]*", "/proc/driver/nvidia/gpus/*"),
    "kunlunxin": ("/dev/xpu[0-9]*",),
}
"""Device nodes that a vendor's driver makes, as glob patterns; the first vendor with one is taken."""


def device_nodes(vendor: str, root: Path = Path("/")) -> list[Path]:
    """Device nodes of `vendor` that exist below `root`."""
    patterns = _NODES.get(vendor, ())
    return sorted(node for pattern in patterns for node in root.glob(pattern.lstrip("/")))


def detect_vendor(root: Path = Path("/")) -> str:
    """Name of the vendor whose devices are here; `cpu` when there is no other."""
    return next((vendor for vendor in _NODES if device_nodes(vendor, root)), "cpu")
