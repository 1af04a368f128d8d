"""Checkpoints of ported frameworks: the original's weights as every run keeps them, and the framework's own state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.weights import TRAINED
from runner.measure.ranks import Ranks

OWN = "ported"
"""Key of the framework's own state, beside the weights."""


def save(path: Path, weights: dict[str, Tensor], own: dict[str, Any] | None, ranks: Ranks) -> None:
    """Write a checkpoint on the first rank; an older one stays until the new one is whole.

    Args:
        path: of the checkpoint.
        weights: the original's state dict.
        own: what training goes on from beside them; None keeps the weights alone.
        ranks: the others wait until it is written.
    """
    if ranks.rank == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {"state_dict": {TRAINED + name: tensor for name, tensor in weights.items()}}
        partial = path.with_suffix(".part")
        torch.save(content if own is None else content | {OWN: own}, partial)
        partial.replace(path)
    ranks.barrier()


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The original's state dict, and the framework's own state."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    weights = {name.removeprefix(TRAINED): tensor for name, tensor in content["state_dict"].items()}
    own: dict[str, Any] = content[OWN]
    return weights, own
