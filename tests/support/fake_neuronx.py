"""A stand-in for the `torch_neuronx` package: traces run on the host, and cast as the compiler was told to."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from vendor_graphs import FakeModule

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class FakeNeuronx(FakeModule):
    def __init__(self) -> None:
        super().__init__("torch_neuronx")
        self.refuses: str | None = None

    def trace(self, func: nn.Module, example_inputs: Any, *, compiler_args: list[str]) -> Any:
        self.calls.append(compiler_args)
        if self.refuses is not None:
            raise RuntimeError(self.refuses)
        kind = compiler_args[compiler_args.index("--auto-cast-type") + 1] if "--auto-cast-type" in compiler_args else ""
        with torch.no_grad(), torch.autocast("cpu", dtype=TYPES.get(kind, torch.bfloat16), enabled=kind in TYPES):
            trace: Any = torch.jit.trace
            return trace(func, example_inputs, check_trace=False)
