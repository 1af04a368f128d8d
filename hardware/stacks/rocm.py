"""What AMD's ROCm and Hygon's DTK share: a torch built for HIP, which shows its devices in the `cuda` namespace."""

from __future__ import annotations

import ctypes
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hardware.base import DeviceIdentity, PrecisionUnsupportedError
from hardware.bus.kfd import KfdGpu, find_gpus, render_nodes
from hardware.bus.nodes import node_number
from hardware.bus.pci import normal_pci, pci_address
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_cuda import TorchCudaDevice, nccl_version
from hardware.stacks.torch_module import memory_bytes

VISIBILITY = ("ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""What hides devices, in the order it acts, each on what the one before left (ROCm documentation, GPU isolation
techniques): a number in one of them is no number of the driver, so none is ever taken for one."""
HIP_LIBRARY = re.compile(r"/lib(?:amdhip64|galaxyhip)\.so[^/\s]*$")
"""The HIP runtime under AMD's name and under Hygon's (DTK)."""
UUID_HEX = re.compile(r"[0-9a-f]{16}")
NO_UUID = "0" * 16
WHOLE_CHIP = frozenset({"", "SPX"})
"""Compute partition of a chip that is one device."""


class HipDevice(TorchCudaDevice):
    """Devices that a torch built for HIP shows this process."""

    pci_vendor: ClassVar[int]
    bfloat16_chips: ClassVar[re.Pattern[str]]
    """Names of the instruction sets (`gfx90a`) that multiply matrices in bfloat16."""
    driver_modules: ClassVar[tuple[str, ...]]
    """Names of the kernel module over time."""

    def found_nodes(self) -> list[Path]:
        """Render nodes of this vendor's GPUs."""
        return render_nodes(self.pci_vendor, self.device_root)

    def start(self) -> None:
        """Start HIP.

        Raises:
            RuntimeError: a PyTorch built without HIP, or what the driver answered.
        """
        import torch

        if torch.version.hip is None:
            raise RuntimeError("it is built without HIP")
        super().start()

    def _visibility(self) -> str:
        told = [f"{name}={os.environ[name]}" for name in VISIBILITY if name in os.environ]
        return ", ".join(told) or f"none of {', '.join(VISIBILITY)} is set"

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse bfloat16 on chips without such matrix products, where libraries emulate them.

        Raises:
            PrecisionUnsupportedError: names the chip and its instruction set.
        """
        if "bfloat16" not in (precision.weights, precision.autocast):
            return
        for index in self.used():
            isa = self.instruction_set(index)
            if isa is not None and not self.bfloat16_chips.fullmatch(isa):
                raise PrecisionUnsupportedError(
                    f"{self.chip_name(index)} ({isa}) has no {precision.name}: it has no matrix products in bfloat16"
                )

    def instruction_set(self, index: int) -> str | None:
        """`gfx942`; None where torch does not tell (the probe then measures what really runs)."""
        name = str(getattr(self._properties(index), "gcnArchName", "")).partition(":")[0]
        return name if name.startswith("gfx") else None

    def own_identities(self, ranks: int) -> list[DeviceIdentity]:
        """The devices of so many local ranks; a UUID that two visible ones give is none."""
        found = super().own_identities(ranks)
        times = Counter(self._place(index)[1] for index in range(self.count()))
        return [replace(one, uuid=None) if times[one.uuid] > 1 else one for one in found]

    def _identity(self, index: int) -> DeviceIdentity:
        pci, uuid, gpu = self._place(index)
        address = pci or (gpu.pci_bus_id if gpu else None)
        return DeviceIdentity(
            index=index,
            uuid=uuid,
            pci_bus_id=address,
            name=self.chip_name(index),
            driver_index=node_number(gpu.render_node) if gpu else None,
            memory_bytes=memory_bytes(self._properties(index)),
            partition=compute_partition(address, self.device_root),
        )

    def _place(self, index: int) -> tuple[str | None, str | None, KfdGpu | None]:
        """PCI address, UUID and the driver's GPU of a local index, each None where nothing tells it."""
        properties = self._properties(index)
        pci = hip_pci_address(index, self.device_root) or pci_address(properties)
        gpu = self._gpu(pci)
        uuid = hip_uuid(properties)
        if uuid is None and gpu is not None and gpu.unique_id is not None:
            uuid = f"GPU-{gpu.unique_id:016x}"
        return pci, uuid, gpu

    def _gpu(self, pci: str | None) -> KfdGpu | None:
        """The driver's GPU at a PCI address; without one, the only GPU if it is the only device too."""
        gpus = find_gpus(self.pci_vendor, self.device_root)
        if pci is None and self.count() > 1:
            return None
        fitting = gpus if pci is None else [gpu for gpu in gpus if gpu.pci_bus_id == pci]
        return fitting[0] if len(fitting) == 1 else None

    def versions(self) -> dict[str, str]:
        """Driver, HIP, MIOpen and RCCL, and the chips' instruction sets; what is not there is left out."""
        import torch

        miopen = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        instruction_sets = sorted({isa for index in self.used() if (isa := self.instruction_set(index))})
        found = {
            "driver": self.driver_version(),
            "hip": torch.version.hip,
            "miopen": None if miopen is None else str(miopen),
            "rccl": nccl_version(),
            "instruction_sets": ", ".join(instruction_sets) or None,
        }
        return super().versions() | {name: value for name, value in found.items() if value is not None}

    def driver_version(self) -> str | None:
        """Of the kernel module, with its name; None for the one that comes with the kernel, which has none."""
        for module in self.driver_modules:
            file = self.device_root / f"sys/module/{module}/version"
            if file.is_file():
                return f"{module} {file.read_text(errors='replace').strip()}"
        return None


def hip_pci_address(index: int, root: Path = Path("/")) -> str | None:
    """PCI address of a local index, from the very HIP runtime that torch has loaded; None when there is none.

    torch's own properties tell it in later versions only, and no order of devices is documented to be the driver's.
    """
    library = _loaded_hip(root)
    if library is None:
        return None
    address = ctypes.create_string_buffer(32)
    try:
        status = ctypes.CDLL(library).hipDeviceGetPCIBusId(address, ctypes.c_int(len(address)), ctypes.c_int(index))
    except (OSError, AttributeError):
        return None
    return normal_pci(address.value.decode(errors="replace")) if status == 0 else None


def compute_partition(pci: str | None, root: Path = Path("/")) -> str | None:
    """`CPX`, where the driver shows a chip as several devices of one name; None for a whole one, or where it is silent.

    The mode is the chip's, told at its function 0; its other partitions appear as further functions (Linux, amdgpu's
    `current_compute_partition`).
    """
    if pci is None:
        return None
    try:
        mode = (root / f"sys/bus/pci/devices/{pci[:-1]}0/current_compute_partition").read_text().strip().upper()
    except OSError:
        return None
    return None if mode in WHOLE_CHIP else mode


def _loaded_hip(root: Path) -> str | None:
    """Path of the HIP runtime in this process's memory."""
    try:
        maps = (root / "proc/self/maps").read_text(errors="replace")
    except OSError:
        return None
    paths = {line.split(maxsplit=5)[-1] for line in maps.splitlines() if HIP_LIBRARY.search(line)}
    return paths.pop() if len(paths) == 1 else None


def hip_uuid(properties: Any) -> str | None:
    """`GPU-` and sixteen digits, as ROCm writes a UUID and ROCR_VISIBLE_DEVICES takes it.

    HIP's sixteen bytes are those digits as text; torch prints the bytes as digits once more.
    """
    try:
        text = bytes.fromhex(str(getattr(properties, "uuid", "")).replace("-", "")).decode("ascii").lower()
    except ValueError:
        return None
    return f"GPU-{text}" if UUID_HEX.fullmatch(text) and text != NO_UUID else None
