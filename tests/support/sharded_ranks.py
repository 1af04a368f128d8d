"""Trains cases in the ranks that torchrun started, a few steps each; `sharded_ranks.py FOLDER`, cases in `cases.json`.

Each case leaves `steps.csv` with every rank's losses, `weights.pt` with the whole weights at the end, and
`result.json` with what it raised. Ranks and their process group are shared by all cases.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from hydra import compose

from hardware.device import load_device
from hardware.stacks.sharded import load_whole
from models.trainable import Trainable
from runner.config.checks import with_devices
from runner.config.compose import composing, to_case
from runner.config.schema import Case
from runner.core.errors import classify
from runner.core.events import EventWriter
from runner.frameworks.implementations import build_trainable
from runner.frameworks.lightning.pytorch import Pytorch
from runner.frameworks.loaders import build_training_loader
from runner.measure.context import Context
from runner.measure.step_records import StepsFile

QUICK = ("measure.warmup.block_steps=1", "measure.warmup.blocks=2", "measure.warmup.max_steps=1")


def main(folder: Path) -> None:
    for name, values in json.loads((folder / "cases.json").read_text()).items():
        own = folder / name
        (own / "events").mkdir(parents=True, exist_ok=True)
        result: dict[str, Any] = {"error": None}
        try:
            train(own, values["overrides"], values["steps"])
        except Exception as error:  # noqa: BLE001 -- what it was is for the test to judge
            traceback.print_exc()
            cause = classify(error)
            result = {"error": str(cause), "exit_code": cause.exit_code}
        if os.environ.get("RANK", "0") == "0":
            (own / "result.json").write_text(json.dumps(result))


def case_of(overrides: list[str]) -> Case:
    with composing():
        chosen = ["vendor=cpu", "tracking=none", "scale=tiny", "measure=smoke", *QUICK, *overrides]
        return with_devices(to_case(compose("config", overrides=chosen)))


def train(folder: Path, overrides: list[str], steps: int) -> None:
    """Train so many steps beside those of warm-up."""
    case, rank = case_of(overrides), int(os.environ.get("RANK", "0"))
    device = load_device(case.vendor)
    device.connect()
    device.set_matmul(case.precision.matmul)
    context = Context(
        case=case,
        folder=folder,
        rank=rank,
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        world=int(os.environ.get("WORLD_SIZE", "1")),
        events=EventWriter(folder / "events" / f"rank{rank}.log", rank=rank),
        device=device,
        mark=lambda name: time.monotonic(),
    )
    if rank == 0:
        StepsFile.create(folder / "steps.csv")
    trainable = build_trainable(context)
    datasets = None if case.data.name == "synthetic" else trainable.datasets(case.data)
    loader = build_training_loader(context, trainable, datasets)
    Pytorch(context).train(trainable, loader, next_segment=lambda seconds, done, spent: max(0, steps - done))
    weights = whole(trainable)
    if rank == 0:
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
    main(Path(sys.argv[1]))
