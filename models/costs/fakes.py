"""Fake tensors in the place of meta ones: they pass for tensors on the CPU and hold nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.trainable import Trainable


def fake(tensor: Tensor) -> Tensor:
    """A tensor that passes for one on the CPU and holds nothing, inside FakeTensorMode."""
    made = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="cpu")
    return nn.Parameter(made, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


def with_fakes(trainable: Trainable) -> Trainable:
    """`trainable` with fake parameters and buffers for its meta ones; `Module.to` would untie those that are tied."""
    placed: dict[Tensor, Tensor] = {}
    for module in trainable.modules():
        parameters = module.named_parameters(recurse=False, remove_duplicate=False)
        buffers = module.named_buffers(recurse=False, remove_duplicate=False)
        for name, tensor in (*parameters, *buffers):
            if tensor not in placed:
                placed[tensor] = fake(tensor)
            setattr(module, name, placed[tensor])
    return trainable
