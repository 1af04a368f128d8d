"""Means keep what float32 drops. Shares are whole counts divided in float64: the count that equals a target reaches it.

Both on any number of ranks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from toy import Toy, toy_recipe

from models.metrics import Mean, Share
from models.training import Quality
from runner.frameworks.lightning.module import TrainableModule


def answers(right: int, of: int) -> torch.Tensor:
    return torch.arange(of) < right


def test_the_count_that_equals_the_target_reaches_it() -> None:
    quality = Quality(targets={"top1": 0.755}, mode="max", every_samples=1)
    metric = Share()
    metric.update(answers(37_000, 40_000))
    metric.update(answers(750, 10_000))
    assert metric.compute().item() == 0.755
    assert quality.reached({"top1": metric.compute().item()})
    short = Share()
    short.update(answers(37_749, 50_000))
    assert not quality.reached({"top1": short.compute().item()})


def test_answers_that_do_not_count_are_left_out() -> None:
    metric = Share()
    metric.update(torch.tensor([[True, False], [True, True]]), torch.tensor([[True, True], [False, True]]))
    assert metric.compute().item() == 2 / 3


def test_counts_beyond_float32_stay_whole() -> None:
    metric = Share()
    metric.right += 2**24
    metric.counted += 2**25 - 1
    metric.update(answers(1, 1))
    assert metric.compute().item() == (2**24 + 1) / 2**25


def test_no_answer_is_no_share() -> None:
    metric = Share()
    metric.update(answers(0, 0))
    assert metric.compute().isnan()


class Shared(Toy):
    """37,750 of 50,000 right, told by Lightning."""

    def __init__(self) -> None:
        super().__init__(toy_recipe(quality=Quality(targets={"top1": 0.755}, mode="max", every_samples=8)))
        self.metrics = {"top1": Share()}

    def evaluate(self, batch: Any) -> None:
        self.metrics["top1"].update(answers(37_750, 50_000))


def test_the_share_passes_lightning_undiminished() -> None:
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainable = Shared()
    trainer.validate(TrainableModule(trainable), DataLoader([{"x": torch.zeros(4)}]), verbose=False)
    assert float(trainer.callback_metrics["quality/top1"]) == 0.755


def count_share(rank: int, folder: str) -> None:
    """One of two ranks: 37,000 of 40,000, or 750 of 10,000."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metric = Share()
    metric.update(answers(37_000, 40_000) if rank == 0 else answers(750, 10_000))
    Path(folder, f"rank{rank}").write_text(repr(metric.compute().item()))
    torch.distributed.destroy_process_group()


def test_ranks_add_counts_not_shares(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(count_share, (str(tmp_path),), nprocs=2, start_method="fork")
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["0.755", "0.755"]


def test_a_mean_keeps_what_float32_would_drop() -> None:
    """2^24 + 1 + 1 + 1 is 2^24 + 3; added up in float32 each 1 is lost."""
    metric = Mean()
    metric.update(torch.tensor([float(2**24), 1.0]))
    metric.update(torch.tensor([1.0]))
    metric.update(torch.tensor([1.0]))
    assert metric.compute().item() == (2**24 + 3) / 4


def test_a_mean_does_not_depend_on_how_its_values_are_cut_into_batches() -> None:
    values = torch.rand(4001, generator=torch.Generator().manual_seed(1)) * 12
    exact = sum(values.double().tolist()) / 4001
    means = []
    for size in (1, 3, 16, 4001):
        metric = Mean()
        for batch in values.split(size):
            metric.update(batch)
        means.append(metric.compute().item())
    assert len(set(means)) == 1 and means[0] == pytest.approx(exact, rel=1e-12)


def test_weights_are_whole_numbers_beyond_float32() -> None:
    """(0.1 x (2^24 + 1) + 3 x 1) / (2^24 + 2), with 0.1 as float32 has it."""
    metric = Mean()
    metric.update(torch.tensor(0.1), 2**24 + 1)
    metric.update(torch.tensor(3.0), 1)
    tenth = torch.tensor(0.1).item()
    assert metric.weights.item() == 2**24 + 2
    assert metric.compute().item() == pytest.approx((tenth * (2**24 + 1) + 3) / (2**24 + 2), rel=1e-14)


def test_a_mean_hides_no_divergence() -> None:
    metric = Mean()
    metric.update(torch.tensor([1.0, float("nan")]))
    metric.update(torch.tensor([1.0]))
    assert metric.compute().isnan()


def add_means(rank: int, folder: str) -> None:
    """One of two ranks: 2^24 + 1, or 1 and 1."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metric = Mean()
    metric.update(torch.tensor([float(2**24), 1.0]) if rank == 0 else torch.tensor([1.0, 1.0]))
    Path(folder, f"rank{rank}").write_text(repr(metric.compute().item()))
    torch.distributed.destroy_process_group()


def test_ranks_add_their_sums_exactly(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(add_means, (str(tmp_path),), nprocs=2, start_method="fork")
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == [repr((2**24 + 3) / 4)] * 2
