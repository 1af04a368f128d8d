"""The contract of a port: a model in another framework than PyTorch, trained on the same case.

A port brings its network, its loss and what its metrics are made of. Data, batches, counts, metrics, optimizer,
schedule, FLOPs and initial weights are the original's, the PyTorch model of the same recipe: so that results of two
frameworks differ by the frameworks alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from models.ports.arrays import to_array, to_tensor
from models.ports.weights import WeightPlace
from models.trainable import Trainable

Arrays = dict[str, Any]
"""A batch of the original's, its tensors as arrays of the framework on the device; what is no tensor is as it was."""


class PortError(ValueError):
    """A port cannot do what a case asks, or is not the network that its original is."""


class Port(ABC):
    """A model of one case in one framework."""

    regularisations: ClassVar[frozenset[str]] = frozenset()
    """Fields of `model.train.regularisation` that `loss` honours."""

    network: Any
    """The framework's own: what is trained. A subclass builds it, with any weights."""

    def __init__(self, original: Trainable) -> None:
        """Take the case from the original.

        Raises:
            PortError: the recipe asks for what this port does not do.
        """
        self.original, self.recipe = original, original.recipe
        asked = self.recipe.training.regularisation
        for name in ("label_smoothing", "mixup_alpha", "cutmix_alpha", "ema_decay"):
            if getattr(asked, name) and name not in self.regularisations:
                raise PortError(f"model.train.regularisation.{name} is not done by {type(self).__name__}")

    @abstractmethod
    def places(self) -> Mapping[str, WeightPlace]:
        """Where each tensor of the original's state dict lies in this network; of tied ones, one name is enough."""

    @abstractmethod
    def loss(self, network: Any, batch: Arrays) -> Any:
        """The scalar loss of one forward pass in training, in float32; it runs inside the window.

        Args:
            network: `self.network`, or what the framework has made of it.
            batch: on the device.
        """

    @abstractmethod
    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """What each of the original's metrics is updated with, from one evaluation batch.

        Returns:
            Name of the metric to the arguments of its `update`: small arrays, computed on the device.
        """

    def from_original(self) -> dict[str, np.ndarray[Any, Any]]:
        """The original's weights as they are now, under this network's names and in its layout."""
        state = self.original.network.state_dict()
        return {place.name: place.laid_out(to_array(state[name])) for name, place in self.places().items()}

    def to_original(self, own: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """The original's whole state dict from weights under this network's names; tied tensors under every name.

        What the port has no place for, as a count of batches, is the original's own.
        """
        places, state = self.places(), self.original.network.state_dict()
        found = {name: to_tensor(place.turned_back(np.asarray(own[place.name]))) for name, place in places.items()}
        tied = {state[name].data_ptr(): tensor for name, tensor in found.items()}
        return {name: found.get(name, tied.get(tensor.data_ptr(), tensor)) for name, tensor in state.items()}
