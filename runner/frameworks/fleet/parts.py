"""Each rank's part of the optimizer's state, in a folder beside the checkpoint; a step's parts belong together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from runner.core.errors import DataMissingError
from runner.measure.ranks import Ranks

FOLDER = "paddle"
"""Beside the checkpoint: a folder per step, of which the last is kept."""


def _folder(path: Path, step: int) -> Path:
    return path.parent / FOLDER / f"step{step}"


def reference(step: int, ranks: Ranks) -> dict[str, Any]:
    """What the checkpoint says of its parts."""
    return {"step": step, "ranks": ranks.world}


def write(path: Path, step: int, state: dict[str, Any], ranks: Ranks) -> None:
    """Write this rank's part; returns when all ranks have theirs."""
    folder = _folder(path, step)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"rank{ranks.rank}.part"
    torch.save(state, partial)
    partial.replace(folder / f"rank{ranks.rank}.ckpt")
    ranks.barrier()


def keep_latest(path: Path, step: int, ranks: Ranks) -> None:
    """Remove the parts of older checkpoints."""
    if ranks.rank == 0:
        for older in (path.parent / FOLDER).iterdir():
            if older.name != _folder(path, step).name:
                shutil.rmtree(older)
    ranks.barrier()


def read(path: Path, told: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """This rank's part.

    Raises:
        DataMissingError: it is not there, or the checkpoint is of another number of ranks.
    """
    part = _folder(path, told["step"]) / f"rank{ranks.rank}.ckpt"
    if told["ranks"] != ranks.world or not part.is_file():
        raise DataMissingError(
            f"The run goes on from {part}, of {told['ranks']} ranks, and this one has {ranks.world}. Go on with the "
            "layout that was saved, and with a folder that every node sees: run.root=FOLDER on a shared file system."
        )
    state: dict[str, Any] = torch.load(part, map_location="cpu", weights_only=True)
    return state
