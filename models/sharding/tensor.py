"""Splits a network over the ranks of a tensor group by its plan."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from torch import nn

from models.sharding.plan import Split, TensorPlan

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

Place = tuple[nn.Module, str]
"""A parameter's module and its name there."""


def split_network(network: nn.Module, plan: TensorPlan, mesh: DeviceMesh) -> None:
    """Leave this rank its parts of the network's matrices; modules take and give plain tensors as before.

    Args:
        network: whole, with the same weights on every rank.
        plan: how; what it does not name is whole on every rank.
        mesh: of one axis, the ranks of the group.

    Raises:
        ValueError: a pattern of the plan fits no module, or one that cannot be split so.
    """
    from torch.distributed.tensor.parallel import parallelize_module

    from models.sharding.styles import style_of

    splits = planned(network, plan)
    tied = _tied(network)
    for name, module in list(network.named_modules()):
        if any(parameter is not None for parameter in module._parameters.values()):
            parallelize_module(module, mesh, style_of(splits.get(name), module), src_data_rank=None)
    for places in tied:
        _tie(places)


def planned(network: nn.Module, plan: TensorPlan) -> dict[str, Split]:
    """Names of the network's modules that are split, and how.

    Raises:
        ValueError: a pattern fits no module.
    """
    names = [name for name, _ in network.named_modules()]
    splits: dict[str, Split] = {}
    for pattern, split in plan.splits.items():
        found = {name: split for name in names if fnmatchcase(name, pattern)}
        if not found:
            raise ValueError(f"the tensor plan names {pattern}, and no module is called so")
        splits |= found
    return splits


def _tied(network: nn.Module) -> list[list[Place]]:
    """The places of each parameter that is in several."""
    places: dict[nn.Parameter, list[Place]] = {}
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                places.setdefault(parameter, []).append((module, name))
    return [found for found in places.values() if len(found) > 1]


def _tie(places: list[Place]) -> None:
    """One parameter in all places again; they are spread alike, or a plan contradicts itself."""
    (first, name), *others = places
    kept = first._parameters[name]
    for module, other in others:
        assert kept is not None and module._parameters[other].placements == kept.placements, "tied and split unlike"  # type: ignore[union-attr,attr-defined]
        module._parameters[other] = kept
