"""What an optimizer keeps for the parameters that it changes, and what an average of the weights takes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from models.optimizers import build_optimizer, parameter_groups
from models.training import Optimizer, Regularisation


def stepped_by(optimizer: Optimizer, network: nn.Module, updated: list[nn.Parameter]) -> list[nn.Parameter]:
    """Parameters with a gradient that a step of the optimizer changes."""
    groups = parameter_groups(optimizer, network.named_parameters())
    given = {id(parameter) for group in groups for parameter in group["params"]}
    return [parameter for parameter in updated if id(parameter) in given]


def average_bytes(regularisation: Regularisation, network: nn.Module) -> int:
    """Of an average of parameters and buffers in float32; 0 where none is kept."""
    if regularisation.ema_decay is None:
        return 0
    averaged = (one for one in (*network.parameters(), *network.buffers()) if one.is_floating_point())
    return sum(torch.float32.itemsize * tensor.numel() for tensor in averaged)


def state_bytes_of(optimizer: Optimizer, updated: list[nn.Parameter]) -> int:
    """State of the real optimizer: one step on a small real tensor shows what it keeps for each parameter."""
    total = 0
    for dtype in {parameter.dtype for parameter in updated}:
        probe = nn.Parameter(torch.ones(4, 4, dtype=dtype, device="cpu"))
        probe.grad = torch.ones_like(probe)
        trained = build_optimizer(replace(optimizer, groups=()), [("probe", probe)])
        trained.step()
        kept = [value for value in trained.state[probe].values() if isinstance(value, Tensor)]
        per_element = sum(value.itemsize for value in kept if value.shape == probe.shape)
        per_parameter = sum(value.nbytes for value in kept if value.shape != probe.shape)
        assert all(value.shape == probe.shape or value.ndim == 0 for value in kept), "state of another shape"
        mine = [parameter for parameter in updated if parameter.dtype == dtype]
        total += sum(per_element * parameter.numel() + per_parameter for parameter in mine)
    return total
