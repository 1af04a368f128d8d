"""A trainable small enough to be counted by hand, and a device whose clock moves only when it is told to."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torchmetrics import MeanMetric

from hardware.base import Device
from hardware.spec import PrecisionSpec, VendorSpec
from hardware.vendors.cpu import Cpu
from models.datasets.base import Batch, Counts, Datasets
from models.datasets.spec import DataSpec
from models.inferable import Inferable, Tensors
from models.recipe import Recipe
from models.trainable import Trainable
from models.training import Optimizer, Quality, Schedule, Training
from runner.config.schema import (
    Case,
    Compiler,
    FrameworkSpec,
    Measure,
    TaskOptions,
    Topology,
    Tracking,
    WarmUp,
    WindowSpec,
)
from runner.core.events import EventWriter
from runner.measure.context import Context, Mark

CPU_SPEC = VendorSpec(
    name="cpu",
    title="Host CPU",
    device="hardware.vendors.cpu.Cpu",
    visible_devices_env=None,
    communication_backend="gloo",
    on_host=True,
    precisions=("fp32", "bf16"),
    tasks=("train", "converge", "inspect"),
    meters=(),
)


def lone_context(case: Case, folder: Path, device: Device, *, mark: Mark = lambda name: time.monotonic()) -> Context:
    """The context of a case's only rank, its events in `folder`."""
    return Context(
        case=case,
        folder=folder,
        rank=0,
        local_rank=0,
        world=1,
        events=EventWriter(folder / "events" / "rank0.log", rank=0),
        device=device,
        mark=mark,
    )


class ManualClock:
    """Seconds that pass only by `advance`."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class ManualEvent:
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.at_s: float | None = None

    def record(self) -> None:
        self.at_s = self._clock()


class ManualDevice(Cpu):
    """The CPU with events on a manual clock; counts how often it is waited for."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(CPU_SPEC)
        self.clock = clock
        self.synchronizations = 0

    def synchronize(self) -> None:
        self.synchronizations += 1

    def event(self) -> ManualEvent:
        return ManualEvent(self.clock)

    def elapsed_s(self, start: Any, end: Any) -> float:
        seconds: float = end.at_s - start.at_s
        return seconds


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with fields replaced, those of its `train` section too."""
    inner = {name: changes.pop(name) for name in {field.name for field in fields(Training)} & set(changes)}
    return replace(recipe, train=replace(recipe.training, **inner), **changes)


def toy_recipe(**changes: Any) -> Recipe:
    """A recipe for `Toy`; `changes` replace its fields."""
    training = Training(
        batch_size=8,
        optimizer=Optimizer(name="sgd", lr=0.1),
        schedule=Schedule(name="constant"),
        quality=Quality(targets={"error": 0.01}, mode="min", every_samples=80),
        max_train_samples=8000,
    )
    recipe = Recipe(
        name="toy",
        implementations={"pytorch": "toy.Toy"},
        unit="rows",
        architecture={"width": 4},
        train=training,
    )
    return changed(recipe, **changes)


def toy_case(*, min_steps: int = 20, **recipe: Any) -> Case:
    """A case of `Toy` on the host; `recipe` replaces fields of its recipe."""
    return Case(
        task=TaskOptions(name="train"),
        model=toy_recipe(**recipe),
        framework=FrameworkSpec(name="pytorch"),
        compiler=Compiler(name="eager"),
        vendor=CPU_SPEC,
        precision=PrecisionSpec(name="fp32", weights="float32", autocast=None, matmul="ieee"),
        topology=Topology(name="single"),
        data=DataSpec(name="sample"),
        measure=Measure(
            name="test",
            publishable=False,
            warmup=WarmUp(block_steps=2, blocks=2, tolerance=0.05, max_steps=20, max_s=100),
            window=WindowSpec(min_s=0.5, min_steps=min_steps, max_s=1000),
        ),
        tracking=Tracking(name="none"),
    )


class Toy(Trainable, Inferable):
    """Linear regression on noiseless data. `step_s` and `load_s` of the manual clock pass in each step, if given."""

    def __init__(self, recipe: Recipe, *, clock: ManualClock | None = None, step_s: float = 0.0) -> None:
        super().__init__(recipe)
        self.network = nn.Linear(recipe.architecture["width"], 1)
        self.metrics = {"error": MeanMetric()}
        self._clock, self._step_s = clock, step_s
        self.passes = 0

    def loss(self, batch: Batch) -> Tensor:
        self.passes += 1
        if self._clock is not None:
            self._clock.advance(self._step_s)
        return nn.functional.mse_loss(self.network(batch["x"]), batch["y"])

    def evaluate(self, batch: Batch) -> None:
        self.metrics["error"].update(
            nn.functional.mse_loss(self.network(batch["x"]), batch["y"]), weight=len(batch["x"])
        )

    input_names, output_names = ("x",), ("y",)

    def inputs(self, batch: Batch) -> Tensors:
        return (batch["x"],)

    def score(self, outputs: Tensors, batch: Batch) -> None:
        self.metrics["error"].update(nn.functional.mse_loss(outputs[0].float(), batch["y"]), weight=len(batch["y"]))

    def evaluation_data(self, spec: DataSpec) -> Any:
        return self.datasets(spec).evaluation

    def datasets(self, spec: DataSpec) -> Datasets:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(64, self.recipe.architecture["width"], generator=generator)
        y = x.sum(dim=1, keepdim=True)
        return Datasets(TensorDataset(x, y), TensorDataset(x[:16], y[:16]))

    def collate(self, examples: list[Any]) -> Batch:
        x, y = zip(*examples, strict=True)
        return {"x": torch.stack(x), "y": torch.stack(y)}

    def synthetic_batch(self, batch_size: int) -> Batch:
        width = self.recipe.architecture["width"]
        return {"x": torch.randn(batch_size, width), "y": torch.randn(batch_size, 1)}

    def count(self, batch: Batch) -> Counts:
        return Counts(samples=len(batch["x"]), tokens=2 * len(batch["x"]))


class Patient(Toy):
    """Reaches its target at its 120th step exactly, in steps of 20 ms; a checkpoint keeps the count."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def loss(self, batch: Batch) -> Tensor:
        time.sleep(0.02)
        self.steps += 1
        return super().loss(batch)

    def evaluate(self, batch: Batch) -> None:
        self.metrics["error"].update(0.0 if int(self.steps) >= 120 else 1.0)
