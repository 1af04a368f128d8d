"""The same training without the engine: a plain PyTorch loop, in a process of its own.

    python -m benchmarks.bare PLAN.json speed
    python -m benchmarks.bare PLAN.json first_step
    python -m torch.distributed.run --standalone --nproc-per-node 2 -m benchmarks.bare PLAN.json speed

Under torchrun it trains data parallel, with torch's own `DistributedDataParallel` as it comes.
Prints one line of JSON. No Trainer, no callbacks, no events: what is left is what the engine is compared with.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning  # noqa: F401 -- the trainable is one of its modules, so everybody who trains it pays for it
import torch
import transformers  # noqa: F401
from pydantic import TypeAdapter
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from benchmarks.ported.loop import BareLoop
from hardware.stacks.host import keep_freed_memory
from models.datasets.base import Batch, EndlessSampler, training_loader
from models.datasets.spec import DataSpec
from models.recipe import Recipe
from models.trainable import Trainable

RATED_STEPS = 5
"""Last steps of warm-up, from which the number of steps in the window is reckoned."""
WINDOW_BEGINS = "window begins"
RANK, RANKS = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
"""Of this process, among those that torchrun started."""


@dataclass(kw_only=True, slots=True)
class BarePlan:
    """What to train, as the engine's `run.yaml` has it, and for how long."""

    trainable: str
    """Dotted path of the `Trainable` class."""
    recipe: Recipe
    data: DataSpec
    seed: int
    device: str
    """torch's name of it: cpu, cuda."""
    autocast: str | None
    """Type of autocast's products; null: none. Weights are float32."""
    matmul: str
    framework: str
    """`pytorch`, or one of `benchmarks/ported`."""
    warmup_steps: int
    window_s: float

    def save(self, path: Path) -> None:
        """Write it for another process."""
        path.write_text(json.dumps(asdict(self)))


class Loss(nn.Module):
    """The trainable's loss as a forward pass, which data parallel training wraps."""

    def __init__(self, trainable: Trainable) -> None:
        super().__init__()
        self.trainable = trainable

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch."""
        return self.trainable.loss(batch)


@dataclass(kw_only=True, slots=True)
class Loop:
    """A training loop by hand: accumulation, clipping and a schedule per optimizer step, as the recipe asks."""

    trainable: Trainable
    batches: Iterator[Batch]
    optimizer: Optimizer
    scheduler: LRScheduler
    device: torch.device
    autocast: torch.dtype | None
    parallel: DistributedDataParallel | None = None
    """The trainable's loss over several ranks."""
    index: int = 0

    def step(self) -> Tensor:
        """One optimizer step; returns the last pass's loss without reading it back."""
        recipe = self.trainable.recipe
        self.optimizer.zero_grad()
        passes = recipe.training.gradient_accumulation_steps
        for number in range(passes):
            with self._alone(last=number == passes - 1):
                with self._precision():
                    loss = (self.parallel or self.trainable.loss)(next(self.batches))
                torch.autograd.backward(loss / passes)
            self.index += 1
        if recipe.training.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(
                [p for group in self.optimizer.param_groups for p in group["params"]], recipe.training.max_grad_norm
            )
        self.optimizer.step()
        self.scheduler.step()
        return loss.detach()

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize()

    def meet(self) -> None:
        """Wait for the device, and for the other ranks."""
        self.synchronize()
        if self.parallel is not None:
            distributed.barrier()

    def _alone(self, *, last: bool) -> AbstractContextManager[Any]:
        """Passes before the last one of a step send no gradients."""
        return nullcontext() if self.parallel is None or last else self.parallel.no_sync()

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, self.autocast) if self.autocast else nullcontext()


def build(plan: BarePlan) -> BareLoop:
    """The trainable with the engine's seed, on its device, with its batches and its optimizer."""
    if plan.device == "cpu":
        keep_freed_memory()  # as the engine's device does: page faults at the allocator's whim would hide its cost
    if plan.framework != "pytorch":
        made: BareLoop = import_module(f"benchmarks.ported.{plan.framework}").build(plan)
        return made
    _set_device(plan)
    random.seed(plan.seed)
    np.random.seed(plan.seed)
    torch.manual_seed(plan.seed)
    module, _, name = plan.trainable.rpartition(".")
    trainable: Trainable = getattr(import_module(module), name)(plan.recipe)
    device = torch.device(f"{plan.device}:{RANK}" if RANKS > 1 and plan.device != "cpu" else plan.device)
    batches = _batches(plan, trainable, device)
    trainable.to(device).train()
    optimizer, scheduler = trainable.configure_optimizer(batches=RANKS)
    parallel = None
    if RANKS > 1:
        distributed.init_process_group("gloo" if device.type == "cpu" else "nccl")
        parallel = DistributedDataParallel(Loss(trainable))
    return Loop(
        trainable=trainable,
        batches=batches,
        optimizer=optimizer,
        scheduler=scheduler,
        device=device,
        autocast=getattr(torch, plan.autocast) if plan.autocast else None,
        parallel=parallel,
    )


def _set_device(plan: BarePlan) -> None:
    from hardware.precision.float32 import set_cpu_ieee, set_cuda_mode

    if plan.device == "cpu":
        set_cpu_ieee()
    else:
        set_cuda_mode(plan.matmul)


def _batches(plan: BarePlan, trainable: Trainable, device: torch.device) -> Iterator[Batch]:
    size, repeats = plan.recipe.training.batch_size, plan.recipe.training.batching.repeats
    if plan.data.name == "synthetic":
        with device:
            return repeat(trainable.synthetic_batch(size))
    examples = trainable.datasets(plan.data).train
    order = EndlessSampler(length=len(examples), batch_size=size, seed=plan.seed, repeats=repeats)  # type: ignore[arg-type]
    loader = training_loader(examples, order, trainable.collate, workers=plan.data.workers, pin=device.type != "cpu")
    return ({key: _moved(value, device) for key, value in batch.items()} for batch in loader)


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


def measure_speed(plan: BarePlan) -> dict[str, Any]:
    """Warm up, then one window between two synchronised edges; a line of output says that the window begins."""
    loop = build(plan)
    for _ in range(plan.warmup_steps - RATED_STEPS):
        loop.step()
    rated_s, _, _ = _timed(loop, RATED_STEPS)
    steps = _first_ranks(math.ceil(plan.window_s * RATED_STEPS / rated_s))
    if RANK == 0:
        print(WINDOW_BEGINS, flush=True)
    seconds, loss, ends_s = _timed(loop, steps)
    samples = (
        steps * plan.recipe.training.gradient_accumulation_steps * loop.trainable.count(next(loop.batches)).samples
    ) * RANKS
    measured = {"steps": steps, "seconds": seconds, "samples_per_second": samples / seconds, "ends_s": ends_s}
    return measured | {"loss": float(loss), "threads": torch.get_num_threads()}


def _timed(loop: BareLoop, steps: int) -> tuple[float, Any, list[float]]:
    """Seconds between the edges, the last loss, and when the host was done with each step (monotonic)."""
    ends_s: list[float] = []
    loop.meet()
    began = time.monotonic()
    for _ in range(steps):
        loss = loop.step()
        ends_s.append(time.monotonic())
    loop.meet()
    return time.monotonic() - began, loss, ends_s


def _first_ranks(steps: int) -> int:
    """The first rank's number of steps, on every rank."""
    if RANKS == 1:
        return steps
    told = [steps]
    distributed.broadcast_object_list(told, src=0)
    return told[0]


def reach_first_step(plan: BarePlan) -> dict[str, Any]:
    """The monotonic time at which the first optimizer step is done, and its loss."""
    loop = build(plan)
    loss = loop.step()
    loop.synchronize()
    return {"monotonic_s": time.monotonic(), "loss": float(loss), "threads": torch.get_num_threads()}


def main() -> None:
    """Do what the command line asks and print what was measured."""
    parser = argparse.ArgumentParser(prog="benchmarks.bare", description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("what", choices=("speed", "first_step"))
    options = parser.parse_args()
    plan = TypeAdapter(BarePlan).validate_json(options.plan.read_text())
    told = measure_speed(plan) if options.what == "speed" else reach_first_step(plan)
    if RANK == 0:
        print(json.dumps(told))


if __name__ == "__main__":
    main()
