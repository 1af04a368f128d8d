"""Products of a mixture of experts: each token with its own few, without a look at who chose whom.

transformers' grouped product runs in the type of the weights, which under autocast is float32, and its batched one
copies an expert for each token. This one is registered under a name of its own; a count of its FLOPs is that of the
chosen experts, whatever the choice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

EXPERTS = "touchstone_grouped"
"""What a transformers configuration names as `experts_implementation`."""


def grouped_experts(module: Any, hidden: Tensor, chosen: Tensor, shares: Tensor) -> Tensor:
    """Sum of each token's chosen experts, every one of them a gated unit; no token is dropped, none is padded.

    Args:
        module: the experts, with `gate_up_proj` (experts, 2 x width, hidden size), `down_proj` (experts, hidden size,
            width) and `act_fn`.
        hidden: (tokens, hidden size).
        chosen: int64 (tokens, experts per token).
        shares: as `chosen`; what each chosen expert's output is multiplied by.

    Returns:
        Tensor of the shape and type of `hidden`.
    """
    per_token = chosen.shape[-1]
    experts, order = chosen.flatten().sort()
    numbers = torch.arange(len(module.gate_up_proj), device=chosen.device)
    ends = torch.searchsorted(experts, numbers, right=True).to(torch.int32)
    dtype = autocast_type(hidden.device.type) or hidden.dtype
    gate, up = _product(hidden.to(dtype)[order // per_token], module.gate_up_proj, ends).chunk(2, dim=-1)
    outputs = _product(module.act_fn(gate) * up, module.down_proj, ends)
    outputs = outputs * shares.flatten()[order].unsqueeze(-1)
    of_token: Tensor = outputs[order.argsort()].view(-1, per_token, outputs.shape[-1])
    return of_token.sum(dim=1).to(hidden.dtype)


def _product(rows: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    """Rows sorted by expert times the experts' weights (experts, outputs, inputs); expert i's rows end at `ends[i]`."""
    weights = weights.to(rows.dtype).transpose(-2, -1)
    if rows.is_meta and rows.dtype != torch.bfloat16:  # torch 2.11 refuses it there
        return rows @ weights[0]  # as many operations, whoever chose whom
    grouped = getattr(functional, "grouped_mm", _one_by_one)  # torch 2.10
    product: Tensor = grouped(rows, weights, offs=ends)
    return product


def _one_by_one(rows: Tensor, weights: Tensor, *, offs: Tensor) -> Tensor:
    """What an older torch can do: a product for each expert. The host waits to be told whose rows end where."""
    if rows.is_meta:
        return rows @ weights[0]
    counts = offs.diff(prepend=offs.new_zeros(1)).tolist()
    return torch.cat([part @ weight for part, weight in zip(torch.split(rows, counts), weights, strict=True)])


def autocast_type(device: str) -> torch.dtype | None:
    """The type of products that autocast gives on a kind of device; None where it is off or unknown."""
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return None


ALL_EXPERTS_FUNCTIONS.register(EXPERTS, grouped_experts)
