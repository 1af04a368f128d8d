"""Shares are whole counts divided in float64: the count that equals a target reaches it, on any number of ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from toy import Toy, toy_recipe

from models.metrics import Share
from models.training import Quality


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
    trainer.validate(trainable, DataLoader([{"x": torch.zeros(4)}]), verbose=False)
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
