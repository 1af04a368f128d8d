"""What ports to TensorFlow share: a Keras model, and the types of its weights and products."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras

from models.ports.port import Port, PortError
from models.trainable import Trainable


class TensorflowPort(Port):
    """A `keras.Model` built with the types that a precision means; float32 losses."""

    network: Any

    def __init__(self, original: Trainable, *, weights: str, products: str) -> None:
        """Build the network.

        Args:
            original: the PyTorch model of the same recipe.
            weights: type of the variables, as Keras names it.
            products: type in which matrices are multiplied.

        Raises:
            PortError: Keras runs on another backend, or has no policy of these types.
        """
        super().__init__(original)
        backend = keras.backend.backend()
        if backend != "tensorflow":
            raise PortError(f"Keras computes by {backend}; set KERAS_BACKEND=tensorflow before anything imports it")
        if weights not in (products, "float32"):
            raise PortError(f"Keras has no policy of {weights} variables and {products} products")
        self.policy = keras.DTypePolicy(weights if products == weights else f"mixed_{products}")
        self.network = self.build()

    @abstractmethod
    def build(self) -> Any:
        """The network (`keras.Model`) in `self.policy`, its layers named as the original's.

        Its weights are replaced by the original's.
        """
