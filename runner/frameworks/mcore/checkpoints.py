"""What a megatron run keeps: a file with the original's whole weights, a folder with each rank's optimizer state."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runner.core.errors import DataMissingError
from runner.frameworks.ported import checkpoints
from runner.measure.ranks import Ranks

FOLDER = "megatron"
"""Beside the file: a folder per step, of which the last is kept."""


def save(path: Path, weights: dict[str, Tensor], own: dict[str, Any], state: dict[str, Any], ranks: Ranks) -> None:
    """Keep this rank's part and, on the first rank, the file beside it; all ranks call this together.

    Args:
        path: of the file.
        weights: the original's, on the first rank.
        own: what all ranks go on from.
        state: this rank's.
        ranks: all of them.
    """
    folder = path.parent / FOLDER / f"step{own['steps']}"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, _part(folder, ranks.rank))
    ranks.barrier()
    checkpoints.save(path, weights, {**own, "folder": folder.name, "ranks": ranks.world}, ranks)
    if ranks.rank == 0:
        for older in folder.parent.iterdir():
            if older.is_dir() and older != folder:
                shutil.rmtree(older)
    ranks.barrier()


def load(path: Path, ranks: Ranks) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """The original's weights, what all ranks go on from, and this rank's state.

    Raises:
        DataMissingError: this rank's part is not there, on this node.
    """
    weights, own = checkpoints.load(path)
    part = _part(path.parent / FOLDER / own["folder"], ranks.rank)
    if not part.is_file() or own["ranks"] != ranks.world:
        raise DataMissingError(
            f"The run goes on from {part}, of {own['ranks']} ranks, which is not there. Every node must see the run's "
            "folder: run.root=FOLDER on a shared file system."
        )
    state: dict[str, Any] = torch.load(part, map_location="cpu", weights_only=True)
    return weights, own, state


def _part(folder: Path, rank: int) -> Path:
    return folder / f"rank{rank}.pt"
