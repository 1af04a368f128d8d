"""Hygon DCUs through DTK, Hygon's stack in the shape of ROCm, and its torch built for HIP."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from hardware.bus.kfd import HYGON, render_nodes
from hardware.stacks.rocm import HipDevice

DEVICE_NODES = ("/dev/kfd", "/dev/dri/renderD[0-9]*")
"""What the driver makes; AMD's makes the same, so `find_nodes` looks at whose they are."""

BFLOAT16 = re.compile(r"gfx(928|92a|936|938)")
"""Those for which Hygon's own kernels have bfloat16 products (`__builtin_hcu_mmac_f32_16x16x16_bf16`): K100_AI (928),
BW (936) and later ones; not Z100 (906) or the first K100 (926)."""


def find_nodes(root: Path = Path("/")) -> list[Path]:
    """Render nodes of Hygon's DCUs below `root`."""
    return render_nodes(HYGON, root)


class Dcu(HipDevice):
    """The DCUs that DTK's variables show this process; no document of a TF32 switch was found, so it is refused."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    pci_vendor: ClassVar[int] = HYGON
    bfloat16_chips: ClassVar[re.Pattern[str]] = BFLOAT16
    driver_modules: ClassVar[tuple[str, ...]] = ("hydcu", "hycu", "amdgpu")
