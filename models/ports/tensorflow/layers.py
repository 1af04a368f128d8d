"""Keras layers that compute exactly what torch's do: padding by number, batch statistics in float32."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

NHWC = "channels_last"
"""Said in every layer: `keras.json` may have another default."""


class PaddedConv2D(keras.layers.Conv2D):
    """Pads each side by the same number of zeros, as torch does; "same" pads the other side of a strided one."""

    def __init__(self, filters: int, kernel_size: int, *, strides: int, **options: Any) -> None:
        super().__init__(filters, kernel_size, strides=strides, use_bias=False, data_format=NHWC, **options)
        around = [kernel_size // 2] * 2
        self._around = [[0, 0], around, around, [0, 0]]

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """[batch, height, width, channels] to the same; the padding is the convolution's own, not a copy."""
        return tf.nn.conv2d(inputs, kernel, strides=self.strides, padding=self._around)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Of the padded picture."""
        stride = self.strides[0]
        sides = [None if side is None else (side - 1) // stride + 1 for side in input_shape[1:3]]
        return (input_shape[0], *sides, self.filters)


class FusedBatchNorm(keras.layers.Layer):
    """Batch normalisation over pictures in one operation, as `torch.nn.BatchNorm2d` defines it.

    Its four variables and its statistics are float32 whatever the pictures' type, and the running variance is made of
    the batch's multiplied by n / (n - 1). `keras.layers.BatchNormalization` takes several operations for the same and
    leaves that factor out; `tf.nn.fused_batch_norm` raises epsilon to 1.001e-5.
    """

    def __init__(self, *, momentum: float = 0.9, epsilon: float = 1e-5, **options: Any) -> None:
        """Prepare.

        Args:
            momentum: share of the running statistics that stays: 1 minus torch's.
            epsilon: added to the variance.
            options: Keras' own, name and policy.
        """
        super().__init__(**options)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: Any) -> None:
        """Four variables per channel, kept out of autocast."""

        def one(name: str, initial: str, *, trained: bool) -> Any:
            shape, options = (input_shape[-1],), {"dtype": "float32", "autocast": False}
            return self.add_weight(name=name, shape=shape, initializer=initial, trainable=trained, **options)

        self.gamma, self.beta = one("gamma", "ones", trained=True), one("beta", "zeros", trained=True)
        self.moving_mean = one("moving_mean", "zeros", trained=False)
        self.moving_variance = one("moving_variance", "ones", trained=False)
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Normalise by the batch's statistics, and keep them; or by the kept ones."""
        given = {"x": inputs, "scale": self.gamma.value, "offset": self.beta.value, "epsilon": self.epsilon}
        nothing = tf.zeros([0], tf.float32)
        mean, variance = (nothing, nothing) if training else (self.moving_mean.value, self.moving_variance.value)
        result = tf.raw_ops.FusedBatchNormV3(**given, mean=mean, variance=variance, is_training=training)
        if training:
            kept, new = self.momentum, 1 - self.momentum
            self.moving_mean.assign(kept * self.moving_mean.value + new * result.batch_mean)
            self.moving_variance.assign(kept * self.moving_variance.value + new * result.batch_variance)
        return result.y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The inputs'."""
        return input_shape
