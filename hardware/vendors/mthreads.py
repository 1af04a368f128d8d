"""Moore Threads GPUs through torch_musa, which adds `torch.musa` in the shape of `torch.cuda`.

Sources: torch_musa's repository (README: events, TF32 switch; torch_musa/core/amp/grad_scaler.py; tests: bfloat16 from
architecture 22 on) and FlagPerf training/mthreads (mccl, MUSA_VISIBLE_DEVICES).
"""

from __future__ import annotations

import contextlib
from typing import ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.bus.nodes import MTGPU_NODES
from hardware.precision.switches import Switch
from hardware.spec import PrecisionSpec
from hardware.stacks.torch_module import TorchModuleDevice

BF16_CAPABILITY = (2, 2)
"""First compute capability with bfloat16: the MTT S4000's. torch_musa's own tests leave bfloat16 out below it."""

DEVICE_NODES = MTGPU_NODES
"""What the driver makes, as glob patterns (`/dev/mtgpu.0`, `/dev/mtgpu0`); `hardware.detect` looks for them."""


class Mthreads(TorchModuleDevice):
    """The GPUs that `MUSA_VISIBLE_DEVICES` shows this process."""

    namespace: ClassVar[str] = "musa"
    packages: ClassVar[tuple[str, ...]] = ("torch_musa",)
    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    # muDNN computes in TF32 unless told otherwise, products and convolutions alike.
    switches: ClassVar[tuple[Switch, ...]] = (Switch(path="backends.mudnn.allow_tf32"),)

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Refuse bfloat16 on chips before the MTT S4000.

        Raises:
            PrecisionUnsupportedError: names the chip and its compute capability.
        """
        if "bfloat16" not in (precision.weights, precision.autocast):
            return
        for index in self.used():
            capability = tuple(self.module.get_device_capability(index))
            if capability < BF16_CAPABILITY:
                raise PrecisionUnsupportedError(
                    f"{self.chip_name(index)} (compute capability {'.'.join(map(str, capability))}) has no bfloat16: "
                    f"that needs {'.'.join(map(str, BF16_CAPABILITY))} or later"
                )

    def versions(self) -> dict[str, str]:
        """torch_musa, the MUSA it was built for and muDNN; what is not there is left out."""
        import torch

        found = super().versions()
        musa = getattr(torch.version, "musa", None)
        if musa is not None:
            found["musa"] = str(musa)
        with contextlib.suppress(AttributeError, RuntimeError):  # earlier versions of torch_musa tell none
            found["mudnn"] = str(torch.backends.mudnn.version())  # type: ignore[attr-defined]
        return found
