"""A pass and a step over MindSpore's cells: forward, backward, sum over passes and ranks, clipping, update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore
from mindspore import Parameter, ParameterTuple, Tensor, amp, nn, ops
from mindspore import dtype as types

from runner.frameworks.cells.optimizer import CellRule

INITIAL, FACTOR, INTERVAL = 65536, 2, 2000
"""torch.amp.GradScaler's defaults: the first scale, what it is multiplied or divided by, steps between two rises."""
TINY = 1e-6
"""What torch adds to a norm that it divides by."""


class Finish(nn.Cell):  # type: ignore[misc]  # of a package without types
    """Gradients of a step's last pass to changed weights."""

    def __init__(
        self,
        weights: ParameterTuple,
        rule: CellRule,
        *,
        sums: ParameterTuple | None,
        scaler: amp.LossScaler | None,
        max_norm: float | None,
        world: int,
    ) -> None:
        """Prepare.

        Args:
            weights: what is trained.
            rule: how they are changed.
            sums: gradients of the passes before the last one; None where a step has one pass.
            scaler: of the loss; None where it is not scaled.
            max_norm: of the gradients of all weights together.
            world: ranks, over which gradients are averaged.
        """
        super().__init__(auto_prefix=False)
        self.rule, self.sums, self.scaler, self.max_norm = rule, sums, scaler, max_norm
        self.count, self.world = len(weights), world
        self.reducer = nn.DistributedGradReducer(weights, True, world) if world > 1 else None
        self.total = ops.AllReduce() if world > 1 else None

    def construct(self, gradients: Any, rate: Tensor) -> Tensor:
        """Change the weights; returns whether all gradients were finite, of which only a scaled loss takes notice."""
        found = gradients
        if self.sums is not None:
            found = tuple([found[number] + self.sums[number] for number in range(self.count)])
        if self.reducer is not None:
            found = self.reducer(found)
        finite = Tensor(True)
        if self.scaler is not None:
            found = self.scaler.unscale(found)
            finite = amp.all_finite(found)
            if self.total is not None:
                # On some chips an overflow is a state of the device, which the other ranks do not see.
                finite = self.total(finite.astype(types.float32)) == self.world
        if self.max_norm is not None:
            found = self.clipped(found)
        self.rule(found, rate, finite)
        if self.scaler is not None:
            self.scaler.adjust(finite)
        if self.sums is not None:
            for number in range(self.count):
                ops.assign(self.sums[number], ops.zeros_like(self.sums[number]))
        return finite

    def clipped(self, gradients: Any) -> Any:
        """Scaled down to the greatest norm, where theirs is greater."""
        total = Tensor(0.0, types.float32)
        for gradient in gradients:
            total = total + ops.square(gradient.astype(types.float32)).sum()
        factor = ops.minimum(self.max_norm / (ops.sqrt(total) + TINY), Tensor(1.0, types.float32))
        return tuple([gradient * factor for gradient in gradients])


def build_passes(
    loss_cell: nn.Cell,
    weights: list[Parameter],
    rule: CellRule,
    *,
    passes: int,
    scales: bool,
    max_norm: float | None,
    world: int,
) -> tuple[Callable[..., Tensor], Callable[..., tuple[Tensor, Tensor]], dict[str, Parameter]]:
    """The functions of a pass that is not the last one, and of one that is.

    Args:
        loss_cell: arrays of a batch to its loss.
        weights: what is trained.
        rule: how they are changed.
        passes: of one step; gradients are averaged over them.
        scales: whether the loss is scaled, so that small gradients do not vanish in float16.
        max_norm: of the gradients, None: they are not clipped.
        world: ranks.

    Returns:
        (arrays) to the pass's share of the loss; (rate, arrays) to the share and whether the step was taken; and the
        state that training goes on from, by name.
    """
    own = ParameterTuple(weights)
    scaler = amp.DynamicLossScaler(INITIAL, FACTOR, INTERVAL) if scales else None
    sums: Any = own.clone(prefix="sum", init="zeros") if passes > 1 else None
    finish = Finish(own, rule, sums=sums, scaler=scaler, max_norm=max_norm, world=world)
    count = len(weights)

    def forward(*arrays: Tensor) -> tuple[Tensor, Tensor]:
        share = loss_cell(*arrays) / passes
        scaled = share
        if scaler is not None:
            scaled = scaler.scale(share)
        return scaled, share

    backward = mindspore.value_and_grad(forward, None, own, has_aux=True)

    def accumulate(*arrays: Tensor) -> Tensor:
        (_, share), gradients = backward(*arrays)
        for number in range(count):
            ops.assign_add(sums[number], gradients[number])
        return share

    def step(rate: Tensor, *arrays: Tensor) -> tuple[Tensor, Tensor]:
        (_, share), gradients = backward(*arrays)
        finite = finish(gradients, rate)
        return share, finite

    kept = dict(rule.parameters_and_names())
    trained = {one.name for one in weights}
    state = {one.name: one for one in kept.values() if one.name not in trained}
    if scaler is not None:
        state |= {"scale": scaler.scale_value, "counter": scaler.counter}
    return accumulate, step, state
