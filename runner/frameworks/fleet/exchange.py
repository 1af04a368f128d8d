"""What the ranks send each other of gradients and weights: sums over data and sharding groups, ZeRO stages 1 and 2.

Each rank's loss is divided by the number of batches before its backward pass, so that every sum is an average.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle
from paddle import Tensor
from paddle.distributed.fleet.utils.hybrid_parallel_util import fused_allreduce_gradients_with_group

from models.ports.paddle.parallel import host_collectives
from models.ports.port import PortError
from runner.frameworks.fleet.layouts import EARLY
from runner.frameworks.fleet.ranks import FleetRanks, size_of


def owners(parameters: Mapping[str, Tensor], ranks: int) -> dict[str, int]:
    """Which rank of a sharding group updates each parameter: the largest first, each to the rank with least so far.

    Raises:
        PortError: there are fewer parameters than ranks.
    """
    if len(parameters) < ranks:
        raise PortError(f"topology.parallel.fsdp={ranks} is more than the {len(parameters)} tensors to spread")
    loads, found = [0] * ranks, dict[str, int]()
    for name in sorted(parameters, key=lambda name: (-int(parameters[name].size), name)):
        found[name] = loads.index(min(loads))
        loads[found[name]] += int(parameters[name].size)
    return found


class GradientExchange:
    """Of one rank's parameters."""

    def __init__(
        self, fleet: FleetRanks, parameters: Mapping[str, Tensor], *, stage: int, tied: str | None, on_host: bool
    ) -> None:
        """Prepare; with sharding stage 2 from now on backward passes send.

        Args:
            fleet: the rank's groups.
            parameters: by name.
            stage: of sharding, where there is a sharding group.
            tied: the parameter that the first and the last stage of a pipeline both have.
            on_host: whether gloo sends.
        """
        self._fleet, self._parameters, self._on_host = fleet, dict(parameters), on_host
        self._tied = self._parameters.get(tied) if tied and fleet.tied is not None else None
        self._owners = owners(parameters, size_of(fleet.sharding))
        rank = 0 if fleet.sharding is None else fleet.sharding.rank
        self.own = {name: one for name, one in self._parameters.items() if self._owners[name] == rank}
        """What this rank updates."""
        self._early = fleet.sharding is not None and stage >= EARLY
        if self._early:
            for name, parameter in self._parameters.items():
                parameter._register_backward_hook(lambda *_, name=name: self._sent_early(name))

    def meet(self) -> None:
        """Add up the gradients of a step, after its last pass."""
        with paddle.no_grad():
            self._meet()

    def _meet(self) -> None:
        if self._tied is not None:
            self._tied.grad = self._sum(self._tied.grad, self._fleet.tied)
        if self._fleet.sharding is not None and not self._early:
            for name in self._parameters:
                self._to_owner(name)
        if self._fleet.data is None:
            return
        if self._on_host:
            for parameter in self.own.values():
                parameter.grad = self._sum(parameter.grad, self._fleet.data)
            return
        fused_allreduce_gradients_with_group(list(self.own.values()), self._fleet.data, scale=1.0)

    def spread(self) -> None:
        """Give every rank of the sharding group what the others have updated."""
        group = self._fleet.sharding
        if group is None:
            return
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                paddle.distributed.broadcast(parameter, group.ranks[self._owners[name]], group=group)

    def from_owner(self, name: str, value: Tensor) -> Tensor:
        """A tensor as the rank of the sharding group has it that updates the parameter of this name."""
        group = self._fleet.sharding
        if group is not None and name in self._owners:
            value = value.clone()
            paddle.distributed.broadcast(value, group.ranks[self._owners[name]], group=group)
        return value

    def _sent_early(self, name: str) -> None:
        with paddle.no_grad():
            self._to_owner(name)

    def _to_owner(self, name: str) -> None:
        group, parameter = self._fleet.sharding, self._parameters[name]
        if self._on_host:
            parameter.grad = self._sum(parameter.grad, group)
        else:
            paddle.distributed.reduce(parameter.grad, group.ranks[self._owners[name]], group=group)
        if name not in self.own:
            parameter.clear_gradient(set_to_zero=False)

    def _sum(self, gradient: Tensor, group: Any) -> Tensor:
        if self._on_host:
            return host_collectives.all_reduce(gradient, group)
        paddle.distributed.all_reduce(gradient, group=group)
        return gradient
