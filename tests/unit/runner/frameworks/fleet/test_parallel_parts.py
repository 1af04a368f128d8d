"""Each rank's part of the optimizer's state beside the checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runner.core.errors import DataMissingError
from runner.frameworks.fleet import parts
from runner.measure.ranks import Ranks


def test_a_part_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    ranks = Ranks()
    parts.write(path, 3, {"tensors": {"a": torch.tensor([1.5])}}, ranks)
    assert parts.read(path, parts.reference(3, ranks), ranks)["tensors"]["a"].tolist() == [1.5]
    assert not list(tmp_path.rglob("*.part"))


def test_the_latest_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for step in (3, 6):
        parts.write(path, step, {}, Ranks())
        parts.keep_latest(path, step, Ranks())
    assert [one.name for one in (tmp_path / parts.FOLDER).iterdir()] == ["step6"]


def test_a_missing_part_and_another_number_of_ranks_are_told(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(DataMissingError, match=r"step3/rank0\.ckpt, of 1 ranks, and this one has 1"):
        parts.read(path, {"step": 3, "ranks": 1}, Ranks())
    parts.write(path, 3, {}, Ranks())
    with pytest.raises(DataMissingError, match="of 4 ranks, and this one has 1"):
        parts.read(path, {"step": 3, "ranks": 4}, Ranks())
