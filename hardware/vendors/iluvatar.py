"""Iluvatar GPUs (BI-V100, BI-V150, MR-V100 …) through CoreX, whose build of PyTorch shows them in `torch.cuda`.

Sources: FlagPerf training/iluvatar (torch 1.13.1+corex, nccl, CUDA_VISIBLE_DEVICES); later builds are 2.4 to 2.10, some
of which say `+corex` in their package's version alone; Iluvatar's patches to Triton ask for `torch.corex`. Each chip
of a board with two (BI-V150, MR-V100 DUO) is a device of its own.
"""

from __future__ import annotations

from typing import ClassVar

from hardware.stacks.cuda_build import CudaBuildDevice

DEVICE_NODES = ("/dev/iluvatar[0-9]*",)
"""What the driver makes, as glob patterns; `hardware.detect` looks for them."""


class Iluvatar(CudaBuildDevice):
    """The chips that `CUDA_VISIBLE_DEVICES` shows this process."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    build_title: ClassVar[str] = "CoreX"
    build_tags: ClassVar[tuple[str, ...]] = ("corex",)
    build_attribute: ClassVar[str] = "corex"
    runtime_library: ClassVar[str] = "libcudart.so"
    runtime_pci_function: ClassVar[str] = "cudaDeviceGetPCIBusId"
    kernel_module: ClassVar[str] = "iluvatar"
