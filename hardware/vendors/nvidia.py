"""NVIDIA GPUs through torch.cuda."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hardware.base import DeviceCondition, DeviceIdentity, DeviceSettings, PrecisionUnsupportedError
from hardware.meters.nvml.condition import nvml_condition, nvml_devices, nvml_settings
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_cuda import TorchCudaDevice, nccl_version

AMPERE = (8, 0)
"""First compute capability with TF32 and bfloat16 products (NVIDIA Ampere architecture white paper, 2020)."""

DEVICE_NODES = ("/dev/nvidia[0-9]*", "/proc/driver/nvidia/gpus/*")
"""What the driver makes, as glob patterns; `hardware.detect` looks for them."""


class Nvidia(TorchCudaDevice):
    """The GPUs that `CUDA_VISIBLE_DEVICES` shows this process."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    has_tf32: ClassVar[bool] = True

    def start(self) -> None:
        """Start CUDA.

        Raises:
            RuntimeError: a PyTorch built without CUDA, or what the driver answered.
        """
        import torch

        if torch.version.cuda is None:
            raise RuntimeError("it is built without CUDA")
        super().start()

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse TF32 and bfloat16 on chips before Ampere, where torch would emulate or ignore them.

        Raises:
            PrecisionUnsupportedError: names the chip and its compute capability.
        """
        if precision.matmul == "tf32" or "bfloat16" in (precision.weights, precision.autocast):
            self._require_ampere(precision.name)

    def _require_ampere(self, what: str) -> None:
        import torch

        for index in self.used():
            capability = torch.cuda.get_device_capability(index)
            if capability < AMPERE:
                raise PrecisionUnsupportedError(
                    f"{self.chip_name(index)} (compute capability {capability[0]}.{capability[1]}) has no {what}: "
                    f"that needs {AMPERE[0]}.{AMPERE[1]} or later"
                )

    def require_tf32(self) -> None:
        """Refuse TF32 on chips before Ampere, and where the environment forbids it.

        Raises:
            PrecisionUnsupportedError: says which.
        """
        super().require_tf32()
        self._require_ampere("tf32")
        if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
            raise PrecisionUnsupportedError("NVIDIA_TF32_OVERRIDE=0 forbids TF32 in NVIDIA's libraries; unset it")

    def _node(self, index: int) -> Path | None:
        """None: CUDA counts the fastest first, the driver's nodes are in another order (`CUDA_DEVICE_ORDER`)."""
        return None

    def _identity(self, index: int) -> DeviceIdentity:
        """CUDA names an instance as such (`NVIDIA A100-SXM4-40GB MIG 3g.20gb`); a UUID of one says it as well."""
        found = super()._identity(index)
        split = (found.uuid or "").startswith("MIG-") and "MIG" not in found.name
        return replace(found, partition="MIG") if split else found

    def normalise_uuid(self, uuid: str, index: int) -> str:
        """NVML's form: `GPU-…`; for a MIG instance the `MIG-…` it was made visible by, which torch does not tell."""
        variable = self.spec.visible_devices_env
        visible = os.environ.get(variable, "").split(",") if variable else []
        if index < len(visible) and visible[index].strip().startswith("MIG-"):
            return visible[index].strip()
        return uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid.lower()}"

    def versions(self) -> dict[str, str]:
        """Driver, CUDA, cuDNN and NCCL; what is not there is left out."""
        import torch

        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found = {
            "driver": self.driver_version(),
            "cuda": torch.version.cuda,
            "cudnn": None if cudnn is None else str(cudnn),
            "nccl": nccl_version(),
        }
        return {name: value for name, value in found.items() if value is not None}

    def driver_version(self) -> str | None:
        """Of the kernel module, as it tells it itself."""
        file = self.device_root / "proc/driver/nvidia/version"
        if not file.is_file():
            return None
        match = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", file.read_text(errors="replace"))
        return match.group(1) if match else None

    def listed(self) -> list[DeviceIdentity] | None:
        """What NVML lists: every GPU of the machine, whatever `CUDA_VISIBLE_DEVICES` says."""
        return nvml_devices()

    def numbers_as_listed(self, listed: list[DeviceIdentity]) -> bool:
        """Not of unlike GPUs, of which CUDA counts the fastest first unless it is told otherwise."""
        by_address = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
        return by_address or len({one.name for one in listed}) == 1

    def condition(self, identity: DeviceIdentity) -> DeviceCondition:
        """NVML's answers about processes, clocks and power limit."""
        return nvml_condition(identity)

    def settings(self, identity: DeviceIdentity) -> DeviceSettings:
        """NVML's answers about power limit, clocks and modes."""
        return nvml_settings(identity)
