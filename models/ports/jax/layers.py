"""Layers that flax.nnx has in another form than torch."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx
from jax import numpy as jnp


class BatchNormJax(nnx.Module):
    """Batch normalisation as torch does it: of this rank's own batch, statistics and arithmetic in float32.

    flax's own keeps the running variance without torch's factor n / (n - 1), and rounds running statistics to the type
    of the activations where it uses them.
    """

    def __init__(self, channels: int, *, types: dict[str, Any], momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        """Ready to be trained.

        Args:
            channels: length of the last axis.
            types: `param_dtype` of scale and bias, `dtype` of what comes out.
            momentum: share of the batch in the running statistics.
            epsilon: added to the variance.
        """
        self.scale = nnx.Param(jnp.ones(channels, types["param_dtype"]))
        self.bias = nnx.Param(jnp.zeros(channels, types["param_dtype"]))
        self.mean = nnx.BatchStat(jnp.zeros(channels, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(channels, jnp.float32))
        self.dtype, self.momentum, self.epsilon = types["dtype"], momentum, epsilon
        self.use_running_average = False  # set by nnx.Module's `train` and `eval`

    def __call__(self, values: jax.Array) -> jax.Array:
        """(batch, height, width, channels) to the same shape."""
        values = values.astype(jnp.float32)
        if self.use_running_average:
            mean, variance = self.mean[...], self.var[...]
        else:
            axes = tuple(range(values.ndim - 1))
            mean = values.mean(axis=axes)
            variance = jnp.maximum(0.0, jnp.square(values).mean(axis=axes) - jnp.square(mean))
            self._follow(mean, variance, values.size // values.shape[-1])
        factor = jax.lax.rsqrt(variance + self.epsilon) * self.scale[...].astype(jnp.float32)
        return ((values - mean) * factor + self.bias[...].astype(jnp.float32)).astype(self.dtype)

    def _follow(self, mean: jax.Array, variance: jax.Array, count: int) -> None:
        kept, unbiased = 1 - self.momentum, variance * (count / max(1, count - 1))
        self.mean[...] = jax.lax.stop_gradient(kept * self.mean[...] + self.momentum * mean)
        self.var[...] = jax.lax.stop_gradient(kept * self.var[...] + self.momentum * unbiased)
