"""Ranks that meet through Lightning's strategy: whatever they say to each other arrives as it was said."""

from __future__ import annotations

import threading
from typing import Any

import torch
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor

from runner.frameworks.lightning.ranks import LightningRanks
from runner.measure.totals import SegmentTotals


class Meeting(SingleDeviceStrategy):
    """A strategy whose ranks are threads; like a communication library it moves tensors of one shape and type."""

    def __init__(self, rank: int, together: threading.Barrier, tensors: list[Any]) -> None:
        super().__init__(device="cpu")
        self.rank, self.together, self.tensors = rank, together, tensors
        self.calls = 0

    def barrier(self, name: str | None = None) -> None:
        self.together.wait()

    def all_gather(self, tensor: Tensor, group: Any = None, sync_grads: bool = False) -> Tensor:
        self.calls += 1
        self.tensors[self.rank] = tensor
        self.together.wait()
        assert len({(one.shape, one.dtype) for one in self.tensors}) == 1
        stacked = torch.stack(self.tensors)
        self.together.wait()
        return stacked


def test_every_rank_gets_every_value() -> None:
    values: list[Any] = [
        "short",
        SegmentTotals(samples=2**53 + 1, tokens=None, core_s=0.1, seconds=1e-9),
        ["much"] * 1000,
    ]
    together, tensors = threading.Barrier(3, timeout=60), [None] * 3
    found: list[Any] = [None] * 3

    def meet(rank: int) -> None:
        strategy = Meeting(rank, together, tensors)
        ranks = LightningRanks(rank=rank, world=3, strategy=strategy)
        ranks.barrier()
        found[rank] = (ranks.gather(values[rank]), ranks.greatest(rank / 8), ranks.sum(0.1))

    threads = [threading.Thread(target=meet, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(values, 0.25, 0.1 + 0.1 + 0.1)] * 3


def test_a_single_rank_has_nobody_to_ask() -> None:
    strategy = Meeting(0, threading.Barrier(1), [None])
    assert LightningRanks(strategy=strategy).gather("value") == ["value"]
    assert strategy.calls == 0
