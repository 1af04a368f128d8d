"""`compiler=inductor`: torch.compile with its default back-end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import Engine

if TYPE_CHECKING:
    from torch import nn

MODES = ("default", "reduce-overhead", "max-autotune")
HOST_COMPILERS = ("c++", "g++", "clang++", "cc", "gcc", "clang", "icpx", "cl")
"""Any of these, or what CXX or CC names, compiles what TorchInductor and Triton write in C or C++."""


class Inductor(Engine):
    """TorchInductor."""

    known_options: ClassVar[tuple[str, ...]] = ("mode", "dynamic")

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.mode = options.get("mode", "default")
        self.dynamic = options.get("dynamic")
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode} is unknown; there are {', '.join(MODES)}")
        if not (self.dynamic is None or isinstance(self.dynamic, bool)):
            raise ValueError(f"dynamic={self.dynamic} must be true, false or null")

    def unavailable_reason(self) -> str | None:
        """It needs a compiler of the host."""
        named = [value.split()[0] for name in ("CXX", "CC") if (value := os.environ.get(name, "").strip())]
        if any(shutil.which(one) for one in (*named, *HOST_COMPILERS)):
            return None
        return "it writes C++, and PATH holds no compiler for it; install g++ or clang, or set CXX"

    def compile(self, network: nn.Module) -> None:
        """Compile at the first forward pass, inside warm-up."""
        network.compile(mode=None if self.mode == "default" else self.mode, dynamic=self.dynamic)
