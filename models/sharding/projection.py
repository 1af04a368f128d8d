"""A layer that makes queries, keys and values in one product, taken apart so that each can be split by heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

PARTS = ("query", "key", "value")


class SplitProjection(nn.Module):
    """Three layers in the place of one; its state dict is that of the one, with outputs in the order of `PARTS`."""

    def __init__(self, fused: nn.Module) -> None:
        """Take the weights (inputs, 3 x outputs) and biases (3 x outputs) of transformers' Conv1D."""
        super().__init__()
        weights, biases = fused.get_parameter("weight"), fused.get_parameter("bias")
        kind: Any = type(fused)
        for name, weight, bias in zip(PARTS, weights.chunk(3, dim=-1), biases.chunk(3), strict=True):
            part = kind(weight.shape[1], weight.shape[0])
            part.weight, part.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
            self.add_module(name, part)
        self.register_state_dict_post_hook(_join)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_part)  # type: ignore[no-untyped-call]

    def forward(self, hidden: Tensor) -> Tensor:
        """Queries, keys and values side by side, of as many heads as the three layers have here."""
        return torch.cat([self.get_submodule(name)(hidden) for name in PARTS], dim=-1)


def _join(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for kind in ("weight", "bias"):
        parts = [state.pop(f"{prefix}{name}.{kind}") for name in PARTS]
        state[f"{prefix}{kind}"] = torch.cat(parts, dim=-1)


def _part(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for kind in ("weight", "bias"):
        fused = state.pop(f"{prefix}{kind}", None)
        if fused is not None:
            state |= {f"{prefix}{name}.{kind}": part for name, part in zip(PARTS, fused.chunk(3, dim=-1), strict=True)}
