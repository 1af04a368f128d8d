"""A stand-in for the `torch_tensorrt` package: programs are partitioned by operator, and run on the host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from vendor_graphs import FakeModule
from torch import nn
from torch.fx.passes.split_module import split_module


class FakeTorchTensorrt(FakeModule):
    def __init__(self, without_converter: str = "nothing") -> None:
        super().__init__("torch_tensorrt")
        self.without_converter, self.refuses = without_converter, False
        self.dynamo = SimpleNamespace(compile=self.compile)

    def compile(self, program: Any, *, arg_inputs: Any, dryrun: bool = False, **settings: Any) -> Any:
        self.calls.append((dryrun, settings))
        if self.refuses and not dryrun:
            raise RuntimeError("TensorRT builds no engine for aten.convolution.default")
        whole = program.module()
        number, before = 0, None

        def piece(node: torch.fx.Node) -> int:
            nonlocal number, before
            taken = self.without_converter not in str(node.target)
            if before is not None and taken != before:
                number += 1
            before = taken
            kinds[number] = "_run_on_acc" if taken else "_run_on_gpu"
            return number

        kinds: dict[int, str] = {}
        split = split_module(whole, whole, piece)
        for count, kind in kinds.items():
            found = getattr(split, f"submod_{count}")
            for node in split.graph.nodes:
                if node.op == "call_module" and node.target == f"submod_{count}":
                    node.target = f"{kind}_{count}"
            delattr(split, f"submod_{count}")
            split.add_module(f"{kind}_{count}", found if dryrun or kind == "_run_on_gpu" else Built(found))
        split.recompile()
        return split


class Built(nn.Module):
    """A piece whose operators can no longer be seen."""

    def __init__(self, piece: nn.Module) -> None:
        super().__init__()
        self.call = piece.forward

    def forward(self, *inputs: Any) -> Any:
        return self.call(*inputs)
