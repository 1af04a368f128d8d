"""A loop in TensorFlow as Keras' documentation writes it: a traced train step, a tape, Keras' own optimizer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
import torch
from torch import Tensor

from benchmarks.ported.loop import endless, setting

if TYPE_CHECKING:
    from benchmarks.bare import BarePlan


class TensorflowLoop:
    """The port's network under Keras' SGD."""

    def __init__(self, plan: BarePlan) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
        if plan.device == "cpu":
            tf.config.threading.set_inter_op_parallelism_threads(1)  # as the engine's: equal threads on both sides
        tf.config.experimental.enable_tensor_float_32_execution(False)
        made = setting(plan)
        self.trainable, self.batches = made.original, endless(made.batch)
        port = made.port(made.original, weights="float32", products="float32")
        recipe = plan.recipe.training.optimizer
        optimizer = keras.optimizers.SGD(
            recipe.lr, momentum=recipe.momentum or 0.0, weight_decay=recipe.weight_decay or None
        )
        weights = port.network.trainable_variables
        optimizer.build(weights)

        @tf.function
        def step(batch: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = port.loss(port.network, batch)
            optimizer.apply(tape.gradient(loss, weights), weights)
            return loss

        self._step = step
        self._batch = {
            name: tf.constant(value.numpy()) for name, value in made.batch.items() if isinstance(value, Tensor)
        }
        self._loss: Any = None

    def step(self) -> Any:
        """One step."""
        self._loss = self._step(self._batch)
        return self._loss

    def synchronize(self) -> None:
        """Wait for the last loss."""
        if self._loss is not None:
            self._loss.numpy()

    def meet(self) -> None:
        """There are no other ranks."""
        self.synchronize()


def build(plan: BarePlan) -> TensorflowLoop:
    """The loop of a plan.

    Raises:
        SystemExit: another optimizer than SGD at a constant rate.
    """
    training = plan.recipe.training
    if training.optimizer.name != "sgd" or training.max_grad_norm is not None:
        raise SystemExit("The bare loop of TensorFlow trains with SGD, without clipping.")
    return TensorflowLoop(plan)
