"""What a DeepSpeed run keeps: the engine's own folder of every rank's part, and one file as every other run has it.

The file holds the whole weights under the names of Lightning's checkpoints, so that `task=infer` reads it, and says
which folder belongs to it. It takes the older one's place when both are whole.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runner.core.errors import DataMissingError
from runner.frameworks.averaging import WeightAverage
from runner.measure.ranks import Ranks

FOLDER = "deepspeed"
"""Beside the file: a folder per step, of which the last is kept."""
OWN = "touchstone"
"""Key of the file under which a run goes on."""


def whole_weights(module: nn.Module, average: WeightAverage | None, *, keep: bool) -> dict[str, Tensor]:
    """Every tensor by its name, on the host, collected from the ranks that hold a part; all ranks call this together.

    Args:
        module: the engine's.
        average: the averaged weights beside it.
        keep: whether this rank is the one that writes them; the others give theirs and keep none.
    """
    import deepspeed

    found: dict[str, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        spread = [tensor] if hasattr(tensor, "ds_id") else []
        with deepspeed.zero.GatheredParameters(spread, enabled=bool(spread)):
            if keep:
                found[name] = tensor.detach().cpu().clone()
    if average is not None and keep:
        found |= {f"average.{name}": tensor.cpu().clone() for name, tensor in average.state_dict().items()}
    return found


def write_weights(path: Path, weights: dict[str, Tensor], **beside: Any) -> None:
    """Write them, and what stands beside them, as one file; an older one stays until it is whole."""
    draft = path.with_suffix(".next")
    torch.save({"state_dict": weights, **beside}, draft)
    draft.replace(path)


def save(engine: Any, path: Path, weights: dict[str, Tensor], own: dict[str, Any], ranks: Ranks) -> None:
    """Keep the engine's state and the file beside it; all ranks call this together."""
    folder, tag = path.parent / FOLDER, f"step{engine.global_steps}"
    engine.save_checkpoint(str(folder), tag=tag, save_latest=False)
    if ranks.rank == 0:
        write_weights(path, weights, **{OWN: {**own, "folder": tag}})
        for older in folder.iterdir():
            if older.is_dir() and older.name != tag:
                shutil.rmtree(older)
    ranks.barrier()


def load(engine: Any, path: Path) -> dict[str, Any]:
    """Put the engine into the state it was saved in; all ranks call this together.

    Returns:
        What was kept beside it.

    Raises:
        DataMissingError: the engine's folder is not there, on this node.
    """
    own: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)[OWN]
    folder = path.parent / FOLDER
    if not (folder / own["folder"]).is_dir():
        raise DataMissingError(
            f"The run goes on from {folder / own['folder']}, which is not there. Every node must see the run's folder: "
            "run.root=FOLDER on a shared file system."
        )
    found, _ = engine.load_checkpoint(str(folder), tag=own["folder"], load_lr_scheduler_states=False)
    if found is None:
        raise DataMissingError(f"DeepSpeed cannot go on from {folder / own['folder']}: parts of it are missing.")
    return own
