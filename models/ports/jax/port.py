"""What ports to JAX share: types of weights and of products, and pure functions over flax.nnx modules."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from models.ports.port import Arrays, Port
from models.trainable import Trainable


class JaxPort(Port):
    """A flax.nnx module, built with the types that a precision means; float32 losses.

    What `judge` returns has the examples of the batch along its first axis, each judged by itself.
    """

    def __init__(self, original: Trainable, *, weights: str, products: str) -> None:
        """Build the network's shapes; nothing is computed, and no memory is taken for weights.

        Args:
            original: the PyTorch model of the same recipe.
            weights: type of the parameters, as jax.numpy names it.
            products: type in which matrices are multiplied.
        """
        from flax import nnx
        from jax import numpy as jnp

        super().__init__(original)
        self.types: dict[str, Any] = {"param_dtype": jnp.dtype(weights), "dtype": jnp.dtype(products)}
        self.network = nnx.eval_shape(lambda: self.build(nnx.Rngs(0)))

    @abstractmethod
    def build(self, rngs: Any) -> Any:
        """The network (`nnx.Module`) with `self.types`; its weights are the original's, put in later."""

    @abstractmethod
    def loss(self, network: Any, batch: Arrays, rngs: Any = None) -> Any:
        """As of `Port`.

        Args:
            network: `self.network` with weights.
            batch: on the device.
            rngs: `nnx.Rngs` with a stream `dropout` that is this pass's and this rank's own.
        """
