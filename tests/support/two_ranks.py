"""Two ranks of torchrun that train `Toy` as a worker does, one of them slowed down: `two_ranks.py FOLDER OPTIONS`.

Sleeping stands for work: two ranks on a busy machine sleep equally long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

WORK_S = 0.012
"""Of each pass's forward pass, on every rank."""


def run(folder: Path, *, timeout_s: float = 200, **options: Any) -> dict[str, int]:
    """Train with two ranks; what the first one counted.

    Options: `slow` (rank), `where` it is slow (`data`, `forward`, `backward`), `slow_s`, `buffers`, `accumulate`,
    `min_steps`.
    """
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests/support'}"}
    done = subprocess.run(
        [*command, str(folder), json.dumps(options)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts: dict[str, int] = json.loads((folder / "counts.json").read_text())
    return counts


def main(folder: Path, options: dict[str, Any]) -> None:
    import pytorch_lightning as pl
    import torch
    from torch import nn
    from toy import CPU_SPEC, Toy, toy_case

    from hardware.stacks.strategy import build_strategy
    from hardware.vendors.cpu import Cpu
    from runner.config.schema import Parallel, Topology
    from runner.core.events import EventWriter, Name
    from runner.frameworks.lightning.loop import TrainingLoop
    from runner.frameworks.lightning.module import TrainableModule
    from runner.frameworks.lightning.throughput import Throughput
    from runner.measure.context import Context
    from runner.measure.step_records import StepsFile

    rank, steps = int(os.environ["RANK"]), options.get("min_steps", 12)
    slow = {options.get("where", "forward"): options.get("slow_s", WORK_S)} if options.get("slow") == rank else {}
    case = toy_case(min_steps=steps, gradient_accumulation_steps=options.get("accumulate", 1))
    # Whatever the speed does, warm-up is three blocks: of two that count, and of one with the profiled step.
    warmup = replace(case.measure.warmup, tolerance=1e9)
    topology = Topology(name="node", devices=2, parallel=Parallel(data=2))
    case = replace(case, topology=topology, measure=replace(case.measure, warmup=warmup))

    class Late(torch.autograd.Function):
        """Nothing forward, time backward."""

        @staticmethod
        def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
            return tensor * 1

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            time.sleep(slow.get("backward", 0.0))
            return gradient

    class Working(Toy):
        def __init__(self, recipe: Any) -> None:
            super().__init__(recipe)
            norm = [nn.BatchNorm1d(recipe.architecture["width"])] if options.get("buffers") else []
            self.network: Any = nn.Sequential(*norm, self.network)

        def loss(self, batch: Any) -> torch.Tensor:
            time.sleep(WORK_S + slow.get("forward", 0.0))
            late: torch.Tensor = Late.apply(super().loss(batch))
            return late

    class Batches:
        def __init__(self, batch: Any) -> None:
            self.batch = batch

        def __iter__(self) -> Iterator[Any]:
            while True:
                time.sleep(slow.get("data", 0.0))
                yield self.batch

    class Counting(Cpu):
        synchronizations = 0

        def synchronize(self) -> None:
            Counting.synchronizations += 1
            super().synchronize()

    if rank == 0:
        case.save(folder / "run.yaml")
        StepsFile.create(folder / "steps.csv")
    else:
        while not (folder / "steps.csv").exists():
            time.sleep(0.01)
    device = Counting(CPU_SPEC)
    device.connect()
    events = EventWriter(folder / "events" / f"rank{rank}.log", rank=rank)
    context = Context(
        case=case,
        folder=folder,
        rank=rank,
        local_rank=rank,
        world=2,
        events=events,
        device=device,
        mark=lambda name: time.monotonic(),
    )
    if rank == 0:
        identities = [{"index": index, "name": "a processor"} for index in range(2)]
        events.emit(Name.ENVIRONMENT, {"devices": identities})
    throughput = Throughput(context, lambda step_s, done, seconds: 0 if done else steps)
    torch.manual_seed(0)
    model = Working(case.model)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=build_strategy(2, backend="gloo", device=torch.device("cpu")),
        callbacks=[throughput],
        logger=False,
        accumulate_grad_batches=case.model.training.gradient_accumulation_steps,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=-1,
        max_epochs=-1,
    )
    trainer.fit_loop.epoch_loop = TrainingLoop(trainer)
    counts = _counting_reads()
    trainer.fit(TrainableModule(model, batches=2), Batches(model.synthetic_batch(8)))
    if rank == 0:
        told = {**counts, "synchronize": Counting.synchronizations}
        told["parameters"] = sum(one.numel() for one in model.parameters())
        (folder / "counts.json").write_text(json.dumps(told))


def _counting_reads() -> dict[str, int]:
    """Counts from here on how often this rank reads a value back from a tensor, or waits for the other rank."""
    import torch
    from torch import distributed

    counts = dict.fromkeys(("item", "tolist", "cpu", "__bool__", "__float__", "barrier", "all_gather", "broadcast"), 0)

    def counted(owner: Any, name: str) -> None:
        own = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return own(*arguments, **named)

        setattr(owner, name, call)

    for name in counts:
        counted(torch.Tensor if hasattr(torch.Tensor, name) else distributed, name)
    return counts


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
