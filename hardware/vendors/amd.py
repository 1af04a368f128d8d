"""AMD GPUs through a torch built for ROCm."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from hardware.bus.kfd import AMD, render_nodes
from hardware.stacks.rocm import HipDevice

DEVICE_NODES = ("/dev/kfd", "/dev/dri/renderD[0-9]*")
"""What the driver makes; Hygon's makes the same, so `find_nodes` looks at whose they are."""

BFLOAT16 = re.compile(r"gfx(908|90a|94[0-9a-f]|95[0-9a-f]|1[12][0-9a-f]{2})")
"""CDNA since MI100, RDNA since its third generation (ROCm documentation, data types and precision support: products in
bfloat16 on MI100 and later)."""


def find_nodes(root: Path = Path("/")) -> list[Path]:
    """Render nodes of AMD's GPUs below `root`."""
    return render_nodes(AMD, root)


class Amd(HipDevice):
    """The GPUs that ROCm's variables show this process.

    `tf32` is refused: PyTorch documents that ROCm has none (notes/hip). hipBLASLt's own variable for MI300 covers
    matrix products alone, not convolutions, and on some versions runs in yet another precision.
    """

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    pci_vendor: ClassVar[int] = AMD
    bfloat16_chips: ClassVar[re.Pattern[str]] = BFLOAT16
    driver_modules: ClassVar[tuple[str, ...]] = ("amdgpu",)
