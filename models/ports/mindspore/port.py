"""What ports to MindSpore share: float32 weights, mixed precision by MindSpore's own means, a cell for the loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import mindspore
from mindspore import amp, nn

from models.ports.port import Arrays, Port
from models.trainable import Trainable

LEVEL = "O2"
"""MindSpore's level of mixed precision in which all but the normalisations compute in the narrow type."""


class MindsporePort(Port):
    """A network (`nn.Cell`) and a cell around it that gives its loss; float32 weights in every precision."""

    inputs: ClassVar[tuple[str, ...]]
    """Names of the arrays of a batch that the loss takes, in their order."""
    loss_cell: nn.Cell
    """Arrays to the scalar loss, in float32."""

    def __init__(self, original: Trainable, *, products: str) -> None:
        """Build the network.

        Args:
            original: the PyTorch model of the same recipe.
            products: type in which matrices are multiplied, as MindSpore names it.
        """
        super().__init__(original)
        network = self.build()
        # Wrapping renames cells, but not their parameters.
        self.parameters: dict[str, mindspore.Parameter] = dict(network.parameters_and_names())
        """Weights and statistics, by name."""
        if products != "float32":
            network = amp.auto_mixed_precision(network, LEVEL, getattr(mindspore, products))
        self.network = network
        self.loss_cell = self.build_loss(network)

    @abstractmethod
    def build(self) -> nn.Cell:
        """The network; its weights are replaced by the original's."""

    @abstractmethod
    def build_loss(self, network: nn.Cell) -> nn.Cell:
        """The cell of the loss around the network, whose outputs are float32."""

    def loss(self, network: Any, batch: Arrays) -> Any:
        """The loss cell's, on the batch's arrays."""
        return network(*(batch[name] for name in self.inputs))
