"""The ranks of a training run, which meet through the strategy that Lightning set up."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TypeVar

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from runner.measure.ranks import Ranks

T = TypeVar("T")


@dataclass(kw_only=True, slots=True)
class LightningRanks(Ranks):
    """Meets over the vendor's communication library; values travel as bytes, which every one of them can move."""

    strategy: Strategy | None = None
    """Known once the Trainer has set up."""

    def barrier(self) -> None:
        """Wait for every rank."""
        assert self.strategy is not None, "the Trainer has set up"
        self.strategy.barrier()

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of ranks, on every rank; waits for all of them."""
        if self.world == 1:
            return [value]
        content = torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)
        lengths = [int(one) for one in self._gathered(torch.tensor([len(content)], dtype=torch.int32)).flatten()]
        padded = torch.zeros(max(lengths), dtype=torch.uint8)
        padded[: len(content)] = content
        rows = self._gathered(padded)
        return [pickle.loads(bytes(row[:length].tolist())) for row, length in zip(rows, lengths, strict=True)]

    def _gathered(self, tensor: Tensor) -> Tensor:
        """Every rank's tensor, one row each, on the host."""
        assert self.strategy is not None, "the Trainer has set up"
        return self.strategy.all_gather(tensor.to(self.strategy.root_device)).cpu()
