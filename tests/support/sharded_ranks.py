"""Trains cases in the ranks that torchrun started, a few steps each; `sharded_ranks.py FOLDER`, cases in `cases.json`.

Each case leaves what `framework_run.py` leaves of it, and `weights.pt` with the whole weights at the end. Ranks and
their process group are shared by all cases.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import framework_run
import torch

from hardware.stacks.sharded import load_whole
from models.trainable import Trainable


def train(folder: Path, overrides: Sequence[str], steps: int) -> None:
    """Train so many steps beside that of warm-up, and look at the weights."""
    trainable = framework_run.train(folder, overrides, steps + 1)
    weights = whole(trainable)
    if os.environ.get("RANK", "0") == "0":
        torch.save(weights, folder / "weights.pt")
    check_loading(trainable, weights)


def check_loading(trainable: Trainable, weights: dict[str, torch.Tensor]) -> None:
    """Whole weights put back into a sharded network are those that came out of it."""
    weights = {name: one.clone() for name, one in weights.items()}
    with torch.no_grad():
        for parameter in trainable.network.parameters():
            parameter.zero_()
    load_whole(trainable.network, weights)
    again = whole(trainable)
    assert weights.keys() == again.keys() and all(torch.equal(one, again[name]) for name, one in weights.items())


def whole(trainable: Trainable) -> dict[str, torch.Tensor]:
    """The network's weights, put together from all ranks."""
    from torch.distributed.tensor import DTensor

    state = trainable.network.state_dict()
    return {name: one.full_tensor() if isinstance(one, DTensor) else one for name, one in state.items()}


if __name__ == "__main__":
    framework_run.main(Path(sys.argv[1]), train)
