"""The recipe's optimizer in MindSpore's operators, with torch's meaning of each setting; each step brings its rate.

A step that overflowed is taken without effect: gradients and rate 0, moments kept. So the device decides, and the host
does not wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mindspore import Parameter, ParameterTuple, Tensor, nn, ops
from mindspore import dtype as types

from models.training import Optimizer
from runner.core.errors import ConfigurationError
from runner.frameworks.ported.recipe import Treatment


class CellRule(nn.Cell):  # type: ignore[misc]  # of a package without types
    """What every rule has: the weights, and how each is treated."""

    def __init__(self, recipe: Optimizer, weights: Sequence[Parameter], treatments: Mapping[str, Treatment]) -> None:
        super().__init__(auto_prefix=False)
        self.weights = ParameterTuple(weights)
        self.ratios = [treatments[one.name].rate_ratio for one in weights]
        self.decays = [treatments[one.name].weight_decay for one in weights]
        self.count = len(weights)

    def moments(self, name: str) -> Any:
        """One more tensor beside each weight, of zeros."""
        return self.weights.clone(prefix=name, init="zeros")


class MomentumCell(CellRule):
    """SGD: the moment is the momentum times itself, plus the gradient."""

    def __init__(self, recipe: Optimizer, weights: Sequence[Parameter], treatments: Mapping[str, Treatment]) -> None:
        super().__init__(recipe, weights, treatments)
        self.momentum = float(recipe.momentum or 0.0)
        self.moment: Any = self.moments("moment") if self.momentum else None
        self.nesterov = bool(recipe.nesterov)
        self.apply = ops.ApplyMomentum()

    def construct(self, gradients: Any, rate: Tensor, finite: Tensor) -> Tensor:
        """Change the weights."""
        rate = ops.select(finite, rate, ops.zeros_like(rate))
        momentum = ops.select(finite, ops.full_like(rate, self.momentum), ops.ones_like(rate))
        for number in range(self.count):
            weight, decay = self.weights[number], self.decays[number]
            gradient = gradients[number]
            if decay:
                gradient = gradient + decay * weight
            gradient = ops.select(finite, gradient, ops.zeros_like(gradient))
            if self.nesterov:
                # The fused operator's own `use_nesterov` computes something else on the host's processor.
                moment = momentum * self.moment[number] + gradient
                ops.assign(self.moment[number], moment)
                ops.assign_sub(weight, rate * self.ratios[number] * (gradient + momentum * moment))
            elif self.momentum:
                self.apply(weight, self.moment[number], rate * self.ratios[number], gradient, momentum)
            else:
                ops.assign_sub(weight, rate * self.ratios[number] * gradient)
        return rate


class AdamCell(CellRule):
    """Adam with torch's place of epsilon; AdamW takes the decay from the weight, Adam adds it to the gradient."""

    def __init__(self, recipe: Optimizer, weights: Sequence[Parameter], treatments: Mapping[str, Treatment]) -> None:
        super().__init__(recipe, weights, treatments)
        self.first, self.second = recipe.betas or (0.9, 0.999)
        self.logarithms = (math.log(self.first), math.log(self.second))
        self.epsilon = float(recipe.eps or 1e-8)
        self.decoupled = recipe.name == "adamw"
        self.mean, self.square = self.moments("mean"), self.moments("square")
        self.taken = Parameter(Tensor(0.0, types.float32), name="taken", requires_grad=False)

    def construct(self, gradients: Any, rate: Tensor, finite: Tensor) -> Tensor:
        """Change the weights."""
        taken = self.taken + finite.astype(types.float32)
        ops.assign(self.taken, taken)
        rate = ops.select(finite, rate, ops.zeros_like(rate))
        steps = ops.maximum(taken, ops.ones_like(taken))
        # 1 - beta^steps, exact in float32 where beta is near 1.
        mean_share = -ops.expm1(steps * self.logarithms[0])
        square_share = -ops.expm1(steps * self.logarithms[1])
        for number in range(self.count):
            weight, decay = self.weights[number], self.decays[number]
            own_rate = rate * self.ratios[number]
            gradient = gradients[number]
            if decay and not self.decoupled:
                gradient = gradient + decay * weight
            old_mean, old_square = self.mean[number], self.square[number]
            mean = ops.select(finite, self.first * old_mean + (1 - self.first) * gradient, old_mean)
            square = ops.select(finite, self.second * old_square + (1 - self.second) * gradient * gradient, old_square)
            update = (mean / mean_share) / (ops.sqrt(square / square_share) + self.epsilon)
            if decay and self.decoupled:
                update = update + decay * weight
            ops.assign(old_mean, mean)
            ops.assign(old_square, square)
            ops.assign_sub(weight, own_rate * update)
        return rate


RULES: Mapping[str, type[CellRule]] = {"sgd": MomentumCell, "adam": AdamCell, "adamw": AdamCell}


def build_rule(recipe: Optimizer, weights: Sequence[Parameter], treatments: Mapping[str, Treatment]) -> CellRule:
    """What changes the weights by their gradients.

    Raises:
        ConfigurationError: it is written for other optimizers than the recipe's.
    """
    if recipe.name not in RULES:
        raise ConfigurationError(
            f"model.train.optimizer.name={recipe.name} is not done by framework=mindspore. It does: {', '.join(RULES)}."
        )
    return RULES[recipe.name](recipe, weights, treatments)
