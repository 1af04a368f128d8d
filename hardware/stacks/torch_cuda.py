"""What all stacks share that show their devices in torch's `cuda` namespace."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.precision.float32 import require_mode, set_cuda_mode
from hardware.stacks.torch_module import TorchModuleDevice


class TorchCudaDevice(TorchModuleDevice):
    """Devices reached through `torch.cuda`, whoever made them."""

    namespace: ClassVar[str] = "cuda"
    has_tf32: ClassVar[bool] = False
    """Whether the stack documents TF32; without it `tf32` is refused."""

    def accelerator(self) -> Any:
        """Lightning's CUDA accelerator."""
        return "cuda"

    def make_scaler(self, enabled: bool) -> Any:
        """The gradient scaler of mixed precision in float16: torch's own, made for this namespace."""
        import torch

        return torch.amp.GradScaler("cuda", enabled=enabled)

    def set_matmul(self, mode: str) -> None:
        """Compute float32 products and convolutions as `mode`.

        Raises:
            PrecisionUnsupportedError: the stack has no TF32, or the environment overrides the switch.
        """
        require_mode(mode)
        if mode == "tf32":
            self.require_tf32()
        set_cuda_mode(mode)

    def require_tf32(self) -> None:
        """Refuse TF32 where the stack or its chips have none.

        Raises:
            PrecisionUnsupportedError: says which.
        """
        if not self.has_tf32:
            raise PrecisionUnsupportedError(f"{self.spec.title}: its PyTorch has no switch for TF32")
        if os.environ.get("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE") == "0":
            raise PrecisionUnsupportedError("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=0 forbids TF32 in PyTorch; unset it")


def nccl_version() -> str | None:
    """NCCL's version, or that of the library that stands in its place (RCCL); None where torch was built without."""
    import torch.distributed

    if not (torch.distributed.is_available() and torch.distributed.is_nccl_available()):
        return None
    import torch.cuda.nccl

    return ".".join(str(part) for part in torch.cuda.nccl.version())  # type: ignore[no-untyped-call]
