"""MetaX GPUs (C500, C550 …) through MACA, whose build of PyTorch shows them in `torch.cuda`.

Sources: FlagPerf training/metax (torch 2.0-mc, nccl, MACA_VISIBLE_DEVICES, TF32 by TORCH_ALLOW_TF32_CUBLAS_OVERRIDE)
and base (TF32 on C550); builds since are called `2.8.0+metax3.5.3.9` and have `torch.version.maca`. RLinf's and
FlagOS's notes name MACA_VISIBLE_DEVICES as the variable; the runtime honours CUDA_VISIBLE_DEVICES as well. PCI vendor
and `/sys/module/metax`: gpustack's runtime detector.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from hardware.bus.nodes import existing
from hardware.stacks.cuda_build import CudaBuildDevice

DEVICE_NODES = ("/dev/mxcd",)
"""What MetaX's driver alone makes: one control node for all GPUs."""
RENDER_NODES = ("/dev/dri/renderD[0-9]*",)
"""One per GPU, but of every vendor's."""
PCI_VENDOR = "0x9999"
"""MetaX, in the kernel's table of PCI vendors."""


def find_nodes(root: Path) -> list[Path]:
    """The control node, and the render nodes of the GPUs that are MetaX's; none without the control node."""
    control = existing(DEVICE_NODES, root)
    return control + [node for node in existing(RENDER_NODES, root) if _is_metax(node, root)] if control else []


def _is_metax(node: Path, root: Path) -> bool:
    try:
        return (root / f"sys/class/drm/{node.name}/device/vendor").read_text().strip() == PCI_VENDOR
    except OSError:
        return False


class Metax(CudaBuildDevice):
    """The GPUs that `MACA_VISIBLE_DEVICES` shows this process."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    has_tf32: ClassVar[bool] = True
    build_title: ClassVar[str] = "MACA"
    build_tags: ClassVar[tuple[str, ...]] = ("metax", "maca", "mc")
    build_attribute: ClassVar[str] = "version.maca"
    runtime_library: ClassVar[str] = "libmcruntime.so"
    runtime_pci_function: ClassVar[str] = "mcDeviceGetPCIBusId"
    kernel_module: ClassVar[str] = "metax"

    def found_nodes(self) -> list[Path]:
        """The control node and the GPUs' render nodes."""
        return find_nodes(self.device_root)

    def _visibility(self) -> str:
        also = os.environ.get("CUDA_VISIBLE_DEVICES")
        return super()._visibility() + ("" if also is None else f", CUDA_VISIBLE_DEVICES={also}")

    def versions(self) -> dict[str, str]:
        """Also MACA's version."""
        import torch

        maca = getattr(torch.version, "maca", None)
        return super().versions() | ({} if maca is None else {"maca": str(maca)})
