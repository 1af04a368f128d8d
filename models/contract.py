"""The contract of a model, whatever is done with it: a network, batches, and what a batch counts. Plain torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from models.datasets.base import Batch, Counts
from models.recipe import Recipe
from models.sharding.plan import TensorPlan
from models.sharding.units import blocks_of
from models.weights import InitialWeights


class Model(nn.Module, ABC):
    """A model as it is benchmarked.

    A subclass builds `self.network` from `recipe.architecture` with random weights (never a download). It must build
    under `torch.device("meta")`, so that parameters and FLOPs can be counted without memory. Nothing here names a
    vendor or a device: the runner places the module.
    """

    network: nn.Module
    """What is compiled, counted, placed and saved."""
    multiplying: ClassVar[tuple[str, ...]] = ("Conv1D",)
    """Names of module classes, beside torch's layers, whose weights are multiplied by and nothing else: of a block,
    sharded training gathers them in autocast's type. By default transformers' linear layer of GPT-2."""
    count_device: str = "meta"
    """Where FLOPs are counted: `cpu` for models whose shapes depend on the data, such as detectors."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    @abstractmethod
    def synthetic_batch(self, batch_size: int) -> Batch:
        """A random batch of the right shapes and dtypes on torch's current default device.

        For `data=synthetic` and for counting; on the meta device it holds shapes alone.
        """

    def counted_batches(self, batch_size: int) -> list[tuple[float, Batch]]:
        """Synthetic batches, each with the share of training steps that cost what it costs; the costliest first.

        Of models that leave layers out at random: FLOPs are the mean over these, everything else that of the first.
        """
        return [(1.0, self.synthetic_batch(batch_size))]

    @abstractmethod
    def count(self, batch: Batch) -> Counts:
        """Samples and tokens in a batch, from its shapes and host integers: never waits for the device."""

    def units(self) -> list[nn.Module]:
        """The blocks of `self.network` that sharded training gathers one by one; by default the members of its lists.

        Each runs by its `forward` alone and shares no parameter. Without any, the network is gathered as a whole.
        """
        return blocks_of(self.network)

    def tensor_plan(self) -> TensorPlan | None:
        """How the matrices of `self.network` are split over the ranks of a tensor group; None: nobody has said how."""
        return None

    def prepare_tensor(self, ranks: int) -> None:
        """Change `self.network` before it is split over so many ranks by `tensor_plan`; nothing by default.

        For layers whose parts cannot be told apart as they are, such as queries, keys and values in one matrix. The
        names and shapes of its state dict stay as they were.
        """

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """The tensors of a published checkpoint under the names of `self.network`.

        By default they are there already. A model whose published case starts from another program's checkpoint, or
        from that of a part alone, translates the names here and says what stays random. Checkpoints of this project
        never come here: their names are the network's.

        Args:
            weights: as `models.weights.read_weights` returns them.
        """
        return InitialWeights(weights)
