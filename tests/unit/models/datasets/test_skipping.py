"""Examples that cannot be read: left out, counted once each, by whichever process met them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from models.datasets.base import DataError, evaluation_loader
from models.datasets.skipping import ReadableBatches, TolerantCollate, TolerantDataset, skipped


class Numbers(Dataset[int]):
    """0 to 19, of which some cannot be read."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> int:
        if index in self.bad:
            raise DataError("Truncated", where=f"{index}.jpg", expected="a whole file")
        return index


def collate(examples: list[int]) -> dict[str, Any]:
    return {"x": torch.tensor(examples)}


@pytest.mark.parametrize("workers", [0, 2])
def test_each_is_counted_once_and_the_others_are_all_there(tmp_path: Path, workers: int) -> None:
    notes = tmp_path / "skipped" / "rank0.jsonl"
    data = TolerantDataset(Numbers(3, 8, 9, 10, 11), part="evaluation", notes=notes)
    loader = evaluation_loader(
        data, TolerantCollate(collate), batch_size=4, limit=None, rank=0, world=1, workers=workers
    )
    for _ in range(2):
        seen = [number for batch in ReadableBatches(loader) for number in batch["x"].tolist()]
        assert seen == [number for number in range(20) if number not in (3, 8, 9, 10, 11)]
    found = skipped(notes)
    assert (found.train, found.evaluation) == (0, 5) and len(found.problems) == 3
    assert "3.jpg" in " ".join(sorted(found.problems)) or workers


def test_parts_are_counted_apart(tmp_path: Path) -> None:
    notes = tmp_path / "rank0.jsonl"
    for part in ("train", "train", "evaluation"):
        assert TolerantDataset(Numbers(1), part=part, notes=notes)[1] is None  # type: ignore[arg-type]
    assert skipped(notes)[:2] == (1, 1)


def test_nothing_was_skipped_where_nothing_is_noted(tmp_path: Path) -> None:
    assert skipped(tmp_path / "rank0.jsonl") == (0, 0, ())


def test_other_errors_end_the_run_all_the_same(tmp_path: Path) -> None:
    class Broken(Numbers):
        def __getitem__(self, index: int) -> int:
            raise RuntimeError("a mistake in the code")

    loader = DataLoader(TolerantDataset(Broken(), part="train", notes=tmp_path / "x"), collate_fn=collate)
    with pytest.raises(RuntimeError, match="mistake"):
        list(ReadableBatches(loader))
