"""Activation checkpointing of any network: a block keeps its inputs, and is computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

from runner.core.errors import ConfigurationError

FEWEST = 2
"""Layers of one class in a row that are blocks."""


def recompute_blocks(network: nn.Module, model: str) -> int:
    """Have every block of a network computed again in the backward pass; returns how many there are.

    Raises:
        ConfigurationError: there are no blocks, or computing twice would change what is learnt.
    """
    if any(isinstance(module, _BatchNorm) and module.track_running_stats for module in network.modules()):
        raise ConfigurationError(
            f"framework.activation_checkpointing=true computes blocks twice, and model={model} has batch "
            "normalisation, whose running statistics would count every batch twice. Leave "
            "framework.activation_checkpointing out."
        )
    found = list(blocks(network))
    if not found:
        raise ConfigurationError(
            f"framework.activation_checkpointing=true keeps the inputs of repeated blocks, and model={model} has none. "
            "Leave framework.activation_checkpointing out."
        )
    for block in found:
        block.forward = recomputed(block.forward)
    return len(found)


def blocks(network: nn.Module) -> Iterator[nn.Module]:
    """The members of a network's outermost lists of layers that are all of one class and have layers of their own."""
    for child in network.children():
        members = list(child.children())
        alike = len(members) >= FEWEST and len({type(member) for member in members}) == 1
        if isinstance(child, nn.ModuleList) and alike and any(members[0].children()):
            yield from members
        else:
            yield from blocks(child)


def recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward pass that keeps its inputs alone.

    It is the reentrant kind: under ZeRO-3 weights are collected again for the second computation, and the other kind
    compares tensors with those of the first, when they were not. It sees tensors among its own arguments alone, so
    arguments are taken out of whatever holds them; without one that has a gradient it would lose the weights'.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        flat, form = tree_flatten((args, kwargs))
        learns = any(isinstance(one, Tensor) and one.requires_grad for one in flat)
        if not (torch.is_grad_enabled() and learns):
            return forward(*args, **kwargs)

        def again(*given: Any) -> Any:
            again_args, again_kwargs = tree_unflatten(list(given), form)
            return forward(*again_args, **again_kwargs)

        return checkpoint(again, *flat, use_reentrant=True)

    return run
