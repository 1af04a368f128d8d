"""Kunlunxin XPUs through torch_xmlir, which presents them in torch's `cuda` namespace.

Two generations of that stack are known. The one FlagPerf used (training/kunlunxin) adds its own synchronisation
(`torch_xmlir.xpu.xpu_synchronize`), seeding and gradient scaler; later ones leave `torch.cuda` as it is, on a CUDA
runtime of their own, and offer the communication library under the name `nccl`. Each is taken as it is found.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, ClassVar

from hardware.spec import PrecisionSpec
from hardware.stacks.torch_cuda import TorchCudaDevice

_NAMELESS = frozenset({"", "gpu"})
"""What the CUDA runtime of some versions answers instead of a chip's name."""

DEVICE_NODES = ("/dev/xpu[0-9]*",)
"""What the driver makes, as glob patterns; `hardware.detect` looks for them."""


class Kunlunxin(TorchCudaDevice):
    """The XPUs that `XPU_VISIBLE_DEVICES` shows this process."""

    nodes: ClassVar[tuple[str, ...]] = DEVICE_NODES
    packages: ClassVar[tuple[str, ...]] = ("torch_xmlir",)

    def connect(self) -> None:
        """Import torch_xmlir and start its runtime.

        Raises:
            HardwareUnavailableError: with what is missing, or what the stack answered.
        """
        # Lets torch_xmlir register in place of the CUDA runtime (FlagPerf, training/kunlunxin); read at import.
        os.environ.setdefault("CUDART_DUMMY_REGISTER", "1")
        super().connect()

    def _own(self, path: str) -> Any:
        """`torch_xmlir.<path>`, or None on a generation of the stack that has no such thing."""
        try:
            found: Any = importlib.import_module("torch_xmlir")
            for name in path.split("."):
                package = found.__name__
                found = getattr(found, name, None) or importlib.import_module(f"{package}.{name}")
        except ImportError:
            return None
        return found

    def communication_backend(self) -> str:
        """The configured one; `nccl` where the stack offers its library under that name alone."""
        from torch import distributed

        configured = self.spec.communication_backend
        if distributed.is_backend_available(configured) or not distributed.is_backend_available("nccl"):
            return configured
        return "nccl"

    def synchronize(self) -> None:
        """Wait for the current XPU."""
        wait = self._own("xpu.xpu_synchronize")
        if wait is not None:
            wait()
        else:
            super().synchronize()

    def seed(self, seed: int) -> None:
        """Seed the host, torch and the XPUs."""
        super().seed(seed)
        seed_devices = self._own("xpu.manual_seed_all")
        if seed_devices is not None:
            seed_devices(seed)

    def require_chip(self, precision: PrecisionSpec) -> None:
        """Nothing is known beyond the vendor's list: the probe measures what really runs."""

    def make_scaler(self, enabled: bool) -> Any:
        """The stack's own gradient scaler; torch's where it brings none or torch's works on the XPU."""
        import torch

        scaler = super().make_scaler(enabled)
        if not enabled:
            return scaler
        try:
            if scaler.is_enabled() and bool(torch.isfinite(scaler.scale(torch.ones(1, device=self.torch_device(0))))):
                return scaler
        except (RuntimeError, NotImplementedError, AssertionError):
            pass  # torch's scaler does not know this device: the stack's own is the one made for it
        own = self._own("amp.GradScaler")
        return scaler if own is None else own(enabled=True)

    def chip_name(self, index: int) -> str:
        """The chip as the stack names it; `vendor.chip=` gives the catalogue's name where that says too little."""
        name = super().chip_name(index)
        own = self._own("xpu.get_device_name")
        return str(own(index)) if own is not None and name.strip().lower() in _NAMELESS else name

    def versions(self) -> dict[str, str]:
        """torch_xmlir's version, what communicates, what times, and whether it compiles."""
        import torch

        found = super().versions()
        if str(torch.compile.__module__).partition(".")[0] == "torch_xmlir":
            # Later versions replace it by a decorator that does nothing, unless XMLIR_ENABLE_MOCK_TORCH_COMPILE=false.
            found["torch.compile"] = "replaced by torch_xmlir; models may run uncompiled"
        version = self._own("__version__")
        return found if version is None else found | {"torch_xmlir": str(version)}
