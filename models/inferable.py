"""What serving adds to a model: what its network takes and gives, and how good its answers are."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.data import Dataset
from torchmetrics import Metric

from models.contract import Model
from models.datasets.base import Batch
from models.datasets.spec import DataSpec

Tensors = tuple[Tensor, ...]
"""Inputs or outputs of a served network, in order, each leading with the batch dimension."""


class Inferable(Model):
    """A model as it is served: a network of plain tensors that an engine can take out of the framework.

    A subclass names `input_names` and `output_names`, and fills `self.metrics` with the recipe's `infer.metric`. One
    that is trained, too, inherits from `Trainable` as well and shares data, metrics and network with it.
    """

    input_names: ClassVar[tuple[str, ...]]
    """Of the served network's inputs, in order."""
    output_names: ClassVar[tuple[str, ...]]
    """Of its outputs, in order."""
    metrics: dict[str, Metric]

    def served(self) -> nn.Module:
        """The network as an engine takes it: positional tensors in, a tuple of tensors out, weights shared.

        By default `self.network`, whose one output becomes a tuple of one. A network that takes keywords or gives
        structures is wrapped here.
        """
        return OneOutput(self.network)

    @abstractmethod
    def inputs(self, batch: Batch) -> Tensors:
        """What the served network takes of a batch, in the order of `input_names`."""

    def begin_serving(self) -> None:
        """Change random weights that hide an error, before a checkpoint is read into them; nothing by default.

        Some trainings begin with a last layer of zeros: whatever an engine computed before it, the answers would agree.
        """

    def served_batch(self, batch_size: int) -> Batch:
        """A random batch as it is served: `synthetic_batch`, unless evaluation sees other shapes than training."""
        return self.synthetic_batch(batch_size)

    @abstractmethod
    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Update every metric from the answers to one batch, on the host; `outputs` has no more rows than the batch.

        Answers are of whatever engine ran the network, in whatever floating-point type it computed them.
        """

    @abstractmethod
    def evaluation_data(self, spec: DataSpec) -> Dataset[Any]:
        """The examples that accuracy is taken over, for `data=sample` and `data=dataset`.

        Raises:
            DataError: a file is missing or malformed; names the file, the expected layout and where to get it.
        """

    def calibration_data(self, spec: DataSpec) -> Dataset[Any] | None:
        """Examples by which an engine may choose the ranges of integers: never those that accuracy is taken over.

        None: there are none; random batches of `synthetic_batch` stand in.
        """
        return None

    @abstractmethod
    def collate(self, examples: list[Any]) -> Batch:
        """Join examples into one batch on the host."""


class OneOutput(nn.Module):
    """A network of one output, as a tuple of one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensors:
        """The network's output."""
        return (self.network(*inputs),)
