"""Spreads a model over ranks: each keeps a part of every tensor, and gathers a block when it is computed (FSDP2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    import torch
    from torch.distributed.device_mesh import DeviceMesh

ENTRIES = ("loss", "evaluate")
"""The methods of a trainable that run its network."""
MULTIPLYING = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
"""Layers whose weights, and biases, autocast takes in its own type."""


def spread_model(
    trainable: nn.Module,
    units: Iterable[nn.Module],
    mesh: DeviceMesh,
    *,
    products: torch.dtype | None = None,
    multiplying: Collection[str] = (),
) -> None:
    """Spread a trainable's weights, gradients and optimizer state.

    Args:
        trainable: whole, or split over tensor groups, with the same weights on every rank.
        units: its blocks, each gathered by itself.
        mesh: of two axes, copies and the ranks of one copy.
        products: the type of autocast's products. What a block multiplies by is gathered in it: autocast's own copies
            of all weights would be whole on every rank until the backward pass. Everything else is gathered as it is,
            so that what is computed is what autocast computes on one rank.
        multiplying: names of classes, beside torch's, whose weights autocast takes in its own type.
    """
    import torch

    try:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
    except ImportError:  # torch 2.5
        from torch.distributed._composable.fsdp import (  # type: ignore[attr-defined]
            MixedPrecisionPolicy,
            fully_shard,
            register_fsdp_forward_method,
        )

    # A rank that has the whole copy keeps what it gathered.
    options: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": mesh.size(1) > 1}
    as_it_is = MixedPrecisionPolicy(cast_forward_inputs=False)
    for block in units:
        others = None if products is None else _others(block, multiplying)
        if others is None:
            fully_shard(block, mp_policy=as_it_is, **options)
            continue
        if others:
            fully_shard(others, mp_policy=as_it_is, **options)
        # Gradients are added up in float32, in which autocast leaves them on one rank.
        narrow = MixedPrecisionPolicy(param_dtype=products, reduce_dtype=torch.float32, cast_forward_inputs=False)
        fully_shard(block, mp_policy=narrow, **options)
    fully_shard(trainable, mesh=mesh, mp_policy=as_it_is, reshard_after_forward=False)
    for name in ENTRIES:
        register_fsdp_forward_method(trainable, name)


def _others(block: nn.Module, multiplying: Collection[str]) -> list[nn.Module] | None:
    """Modules of a block that do not multiply, such as norms; None where one of them cannot be gathered by itself."""
    holders = [module for module in block.modules() if next(module.parameters(recurse=False), None) is not None]
    others = [one for one in holders if not isinstance(one, MULTIPLYING) and type(one).__name__ not in multiplying]
    apart = all(next(one.children(), None) is None and one is not block for one in others)
    return others if apart else None
