"""The step of a Keras port: forward, backward and optimizer in one traced function, its variables changed in place."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from models.ports.port import Arrays
from models.ports.tensorflow.port import TensorflowPort
from runner.frameworks.keras.loss_scale import LossScale
from runner.frameworks.keras.optimizer import build_rule, clipped
from runner.frameworks.keras.tracing import Told, TracedFunction
from runner.frameworks.ported.recipe import treatments

Gradients = dict[str, Any]
"""By the name of the weight, float32."""


class KerasStep:
    """What changes the weights of one rank; those of several are changed equally."""

    def __init__(
        self, port: TensorflowPort, *, passes: int, scales: bool, xla: bool, strategy: Any, told: Told
    ) -> None:
        """Make the optimizer's variables; nothing is traced yet.

        Args:
            port: what is trained.
            passes: of one step.
            scales: whether the loss is scaled.
            xla: whether XLA compiles.
            strategy: through which the ranks' gradients meet; None of one rank.
            told: hears of every call that traced.

        Raises:
            PortError: the recipe's optimizer is not done.
        """
        self.port, self.passes, self.strategy = port, passes, strategy
        self.weights = {one.path: one.value for one in port.network.trainable_variables}
        training = port.recipe.training
        self._largest_norm = training.max_grad_norm
        self.rule = build_rule(training.optimizer, self.weights, treatments(port))
        self.scale = LossScale() if scales else None
        self._sums = {name: tf.Variable(tf.zeros_like(one), trainable=False) for name, one in self.weights.items()}
        if passes == 1:
            self._sums = {}
        # What lies between the ranks is not XLA's.
        inner = xla and strategy is not None
        self._own = tf.function(self._backward, autograph=False, jit_compile=True) if inner else self._backward
        self._apply = tf.function(self._stepped, autograph=False, jit_compile=True) if inner else self._stepped
        outer = xla and not inner
        self.begin = TracedFunction(self._begun, "first pass", xla=outer, told=told)
        self.add = TracedFunction(self._added, "pass", xla=outer, told=told)
        self.finish = TracedFunction(self._finished, "step", xla=outer, told=told)

    @property
    def state(self) -> dict[str, Any]:
        """Variables by name that training goes on from, beside the network's."""
        return self.rule.state | (self.scale.state if self.scale else {})

    # --- traced -----------------------------------------------------------------------------------------------

    def _backward(self, batch: Arrays) -> tuple[Any, Gradients]:
        """The pass's share of the step's loss, and the gradients of the scaled one."""
        with tf.GradientTape() as tape:
            share = self.port.loss(self.port.network, batch) / self.passes
            scaled = share if self.scale is None else share * self.scale.scale
        found = tape.gradient(scaled, self.weights)
        return share, {name: tf.convert_to_tensor(one) for name, one in found.items()}

    def _begun(self, batch: Arrays) -> Any:
        share, gradients = self._own(batch)
        for name, one in gradients.items():
            self._sums[name].assign(one)
        return share

    def _added(self, batch: Arrays) -> Any:
        share, gradients = self._own(batch)
        for name, one in gradients.items():
            self._sums[name].assign_add(one)
        return share

    def _finished(self, batch: Arrays, rate: Any) -> tuple[Any, Any]:
        if self.strategy is None:
            return self._replica(batch, rate)
        found: tuple[Any, Any] = self.strategy.run(self._replica, args=(batch, rate))
        return found

    def _replica(self, batch: Arrays, rate: Any) -> tuple[Any, Any]:
        share, gradients = self._own(batch)
        if self._sums:
            gradients = {name: self._sums[name] + one for name, one in gradients.items()}
        if self.strategy is not None:
            mean = tf.distribute.ReduceOp.MEAN
            gradients = tf.distribute.get_replica_context().all_reduce(mean, gradients)
        return share, self._apply(gradients, rate)

    def _stepped(self, gradients: Gradients, rate: Any) -> Any:
        """Take the step; returns whether it was left out, 0 or 1."""
        if self.scale is None:
            self.rule.apply(clipped(gradients, self._largest_norm), rate)
            return tf.constant(0.0)
        inverse = 1 / self.scale.scale
        gradients = {name: one * inverse for name, one in gradients.items()}
        finite = self.scale.finite(gradients)

        def applied() -> Any:
            self.rule.apply(clipped(gradients, self._largest_norm), rate)
            return tf.constant(0.0)

        skipped = tf.cond(finite, applied, lambda: tf.constant(1.0))
        self.scale.update(finite)
        return skipped
