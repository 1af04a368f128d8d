"""The recipe's optimizer over TensorFlow's variables, with torch's meaning of each setting.

Keras' own SGD multiplies the rate into what it keeps of earlier steps: when the rate falls, its momentum goes on at the
old one. Torch's, and TensorFlow's operation used here, keep gradients alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from models.ports.port import PortError
from models.training import Optimizer
from runner.frameworks.ported.recipe import Treatment

Variables = Mapping[str, Any]
"""`tf.Variable` by the name of its parameter."""
BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Torch's, where the recipe names none."""


class UpdateRule(ABC):
    """Turns gradients into the next weights, in place; its own variables are what a checkpoint keeps."""

    def __init__(self, recipe: Optimizer, weights: Variables, treatments: Mapping[str, Treatment]) -> None:
        """Make what is kept from step to step.

        Args:
            recipe: betas, momentum and so on.
            weights: what is trained.
            treatments: of each of them.
        """
        self.recipe, self.weights, self.treatments = recipe, weights, treatments
        self.state: dict[str, Any] = {}
        """Variables by name."""

    def apply(self, gradients: Mapping[str, Any], rate: Any) -> None:
        """Take a step; called while a function is traced.

        Args:
            gradients: of every weight, float32.
            rate: the step's, a scalar; each weight's is multiplied by its ratio.
        """
        self.begin_step()
        for name, gradient in gradients.items():
            treatment = self.treatments[name]
            self.update(name, gradient, rate * treatment.rate_ratio, treatment.weight_decay)

    def begin_step(self) -> None:  # noqa: B027 -- most count no steps
        """What is done once in a step."""

    @abstractmethod
    def update(self, name: str, gradient: Any, rate: Any, decay: float) -> None:
        """Step one weight."""

    def _slots(self, kind: str) -> dict[str, Any]:
        slots = {name: tf.Variable(tf.zeros_like(one), trainable=False) for name, one in self.weights.items()}
        self.state |= {f"{kind}/{name}": slot for name, slot in slots.items()}
        return slots


class MomentumRule(UpdateRule):
    """Stochastic gradient descent: buffer = momentum * buffer + gradient; weight -= rate * buffer."""

    def __init__(self, recipe: Optimizer, weights: Variables, treatments: Mapping[str, Treatment]) -> None:
        super().__init__(recipe, weights, treatments)
        self._buffers = self._slots("momentum") if recipe.momentum else {}

    def update(self, name: str, gradient: Any, rate: Any, decay: float) -> None:
        """Decay is part of the gradient."""
        weight = self.weights[name]
        gradient = gradient + decay * weight if decay else gradient
        if not self.recipe.momentum:
            weight.assign_sub(rate * gradient)
            return
        tf.raw_ops.ResourceApplyMomentum(
            var=weight.handle,
            accum=self._buffers[name].handle,
            lr=rate,
            grad=gradient,
            momentum=self.recipe.momentum,
            use_nesterov=bool(self.recipe.nesterov),
        )


class AdamRule(UpdateRule):
    """Adam, and AdamW where the decay is the weight's own step."""

    def __init__(self, recipe: Optimizer, weights: Variables, treatments: Mapping[str, Treatment]) -> None:
        super().__init__(recipe, weights, treatments)
        self._first, self._second = self._slots("first"), self._slots("second")
        self._steps = self.state["steps"] = tf.Variable(0, dtype=tf.int64, trainable=False)

    def begin_step(self) -> None:
        """Count it; what the averages still lack of their beginning, in float64: 1 - 0.999 loses digits in float32."""
        steps = tf.cast(self._steps.assign_add(1), tf.float64)
        first, second = (tf.pow(tf.constant(beta, tf.float64), steps) for beta in self.recipe.betas or BETAS)
        self._scale = tf.cast(tf.sqrt(1 - second) / (1 - first), tf.float32)
        self._widened = tf.cast(tf.sqrt(1 - second), tf.float32)
        self._powers = tf.constant(0.0), tf.constant(0.0)

    def update(self, name: str, gradient: Any, rate: Any, decay: float) -> None:
        """Torch adds epsilon to the corrected root, TensorFlow's operation to the plain one: it gets a smaller one."""
        weight, beside = self.weights[name], self.recipe.name == "adamw"
        if decay and beside:
            weight.assign_sub(rate * decay * weight)
        elif decay:
            gradient = gradient + decay * weight
        first, second = self.recipe.betas or BETAS
        tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=self._first[name].handle,
            v=self._second[name].handle,
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],  # with powers of 0 the operation corrects nothing
            lr=rate * self._scale,
            beta1=first,
            beta2=second,
            epsilon=(self.recipe.eps or EPSILON) * self._widened,
            grad=gradient,
        )


RULES: dict[str, type[UpdateRule]] = {"sgd": MomentumRule, "adam": AdamRule, "adamw": AdamRule}


def build_rule(recipe: Optimizer, weights: Variables, treatments: Mapping[str, Treatment]) -> UpdateRule:
    """The rule of the recipe's optimizer.

    Raises:
        PortError: there is none.
    """
    if recipe.name not in RULES:
        raise PortError(f"model.train.optimizer.name={recipe.name} is not done; these are: {', '.join(RULES)}")
    return RULES[recipe.name](recipe, weights, treatments)


def clipped(gradients: Mapping[str, Any], largest: float | None) -> dict[str, Any]:
    """The gradients, together no longer than `largest`, by torch's formula."""
    if largest is None:
        return dict(gradients)
    norm = tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(one)) for one in gradients.values()]))
    factor = tf.minimum(1.0, largest / (norm + 1e-6))
    return {name: one * factor for name, one in gradients.items()}
