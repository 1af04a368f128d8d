"""The benchmarks of the engine: their arithmetic, and that the bare loop trains exactly what the engine trains."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from pytorch_lightning import Callback, LightningModule, Trainer
from toy import CPU_SPEC, Toy, changed, lone_context

from benchmarks import engine, overhead
from benchmarks.bare import BarePlan, build
from benchmarks.engine import STAGES, compose_case, plan_of, stages
from benchmarks.footprint import FootprintReading, shares
from benchmarks.record import Record, goal, interleaved, settle, summary, take_turns, undisturbed
from benchmarks.startup import import_costs
from benchmarks.sweep import marginal_s
from hardware.vendors.cpu import Cpu
from models.datasets.base import Batch
from models.training import Optimizer, Schedule
from runner.config.schema import Case
from runner.core.events import Event, Name
from runner.frameworks.implementations import build_trainable
from runner.frameworks.lightning.module import TrainableModule
from runner.frameworks.lightning.throughput import Throughput
from runner.frameworks.lightning.trainer import build_trainer
from runner.frameworks.loaders import build_training_loader
from runner.measure.step_records import StepsFile

STEPS = 6


class Digits(Toy):
    """A synthetic batch with something to learn."""

    def synthetic_batch(self, batch_size: int) -> Batch:
        rows = torch.randn(batch_size, self.recipe.architecture["width"])
        return {"x": rows, "y": rows.sum(dim=1, keepdim=True)}


def composed(model: str, **recipe: Any) -> Case:
    case = compose_case("task=train", f"model={model}", "scale=tiny", "vendor=cpu", "data=synthetic", "measure=smoke")
    return replace(case, model=changed(case.model, **recipe))


def toy_case(data: str, **recipe: Any) -> Case:
    changes: dict[str, Any] = {
        "implementations": {"pytorch": f"{__name__}.Digits"},
        "architecture": {"width": 4},
        "batch_size": 8,
        "max_grad_norm": None,
        "optimizer": Optimizer(name="sgd", lr=0.1),
        "schedule": Schedule(name="constant"),
        "quality": replace(composed("resnet50").model.training.quality, targets={"error": 0.01}, mode="min"),
    }
    case = composed("resnet50", **{**changes, **recipe})
    return replace(case, data=replace(case.data, name=data))


class Losses(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen.append(float(pl_module.trainable.recipe.training.gradient_accumulation_steps * outputs["loss"]))  # type: ignore[union-attr,operator]


def trained_by_engine(case: Case, folder: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Parameters and losses after `STEPS` steps with the engine's own trainer and callbacks."""
    StepsFile.create(folder / "steps.csv")
    device = Cpu(CPU_SPEC)
    device.set_matmul(case.precision.matmul)
    context = lone_context(case, folder, device)
    trainable = build_trainable(context)
    datasets = None if case.data.name == "synthetic" else trainable.datasets(case.data)
    loader = build_training_loader(context, trainable, datasets)
    losses = Losses()
    callbacks: list[Callback] = [Throughput(context, lambda *_: 1), losses]
    trainer = build_trainer(context, callbacks, max_steps=STEPS, limit_val_batches=0)
    trainer.fit(TrainableModule(trainable), train_dataloaders=loader)
    return dict(trainable.network.state_dict()), losses.seen


def trained_bare(case: Case, path: Path) -> tuple[dict[str, torch.Tensor], list[float]]:
    """The same with the bare loop, from a plan that went through a file as it does between processes."""
    plan_of(case, warmup_steps=0, window_s=0).save(path)
    loop = build(TypeAdapter(BarePlan).validate_json(path.read_text()))
    losses = [float(loop.step()) for _ in range(STEPS)]
    return dict(loop.trainable.network.state_dict()), losses


CASES: dict[str, Any] = {
    "plain": lambda: toy_case("synthetic"),
    "sample data": lambda: toy_case("sample"),
    "accumulation, clipping, schedule": lambda: toy_case(
        "sample",
        gradient_accumulation_steps=2,
        max_grad_norm=0.1,
        optimizer=Optimizer(name="adamw", lr=0.1, weight_decay=0.1, betas=(0.9, 0.99)),
        schedule=Schedule(name="linear", warmup=3, total=8),
    ),
    "bert": lambda: composed("bert", batch_size=4),
    "gpt2": lambda: composed("gpt2", batch_size=4),
    "resnet50": lambda: composed("resnet50", batch_size=4),
    "bf16": lambda: replace(
        toy_case("sample"), precision=replace(composed("bert").precision, name="bf16", autocast="bfloat16")
    ),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", CASES)
def test_the_bare_loop_trains_exactly_what_the_engine_trains(name: str, tmp_path: Path) -> None:
    case = CASES[name]()
    theirs, their_losses = trained_by_engine(case, tmp_path)
    ours, our_losses = trained_bare(case, tmp_path / "plan.json")
    assert len(theirs) == len(ours) > 0
    passes = case.model.training.gradient_accumulation_steps
    assert our_losses == pytest.approx(their_losses[passes - 1 :: passes], rel=1e-6)
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-6, atol=1e-7, msg=key)
    assert their_losses[0] != their_losses[-1], "nothing was trained"


def test_a_case_that_the_bare_loop_cannot_train_is_refused() -> None:
    case = composed("bert")
    with pytest.raises(SystemExit, match="fp32, tf32 and bf16"):
        plan_of(replace(case, precision=replace(case.precision, autocast="float16", loss_scaling=True)), **NOTHING)
    with pytest.raises(SystemExit, match="not on kunlunxin"):
        plan_of(replace(case, vendor=replace(case.vendor, name="kunlunxin")), **NOTHING)


NOTHING: dict[str, Any] = {"warmup_steps": 0, "window_s": 0.0}


def test_sides_take_turns_and_each_pair_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.record.settle", lambda: 0.01)
    assert list(interleaved(3, "ab")) == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]
    counter = iter(range(10))
    pairs = take_turns(2, {side: lambda: {"at": next(counter)} for side in "ab"}, shown="at")
    assert [[pair[side]["at"] for side in "ab"] for pair in pairs] == [[0, 1], [3, 2]]
    assert all(pair[side]["busy_before"] == 0.01 for pair in pairs for side in "ab")


def test_each_side_starts_first_in_every_other_pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(overhead, "_pair_by_turns", lambda *_, engine_first, **__: {"ratio": float(engine_first)})
    pairs = overhead.by_turns(argparse.Namespace(pairs=4), [], tmp_path, tmp_path, turn_s=1.0)
    assert [pair["ratio"] for pair in pairs] == [1.0, 0.0, 1.0, 0.0]


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(SystemExit, match=r"(?s)hydra_not_there'\] ended with 1.*No module named"):
        engine.finish(engine.start("hydra_not_there"))
    with pytest.raises(SystemExit, match=r"(?s)before 'window begins'.*No module named"):
        engine.wait_for_line("window begins", engine.start("hydra_not_there"))


def test_a_disturbed_measurement_is_repeated_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.record.settle", lambda: 0.0)
    shares = iter([0.4, 0.3, 0.01, 0.0])
    measured = undisturbed(lambda: {"others": next(shares)})
    assert measured["others"] == 0.01 and measured["dropped_others"] == [0.4, 0.3]
    assert undisturbed(lambda: {"others": 0.9})["dropped_others"] == [0.9] * 3


def test_waiting_for_a_quiet_machine_ends_when_it_is_quiet_or_never_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([80.0, 30.0, 4.0])
    monkeypatch.setattr("benchmarks.record.psutil.cpu_percent", lambda interval: next(shares))
    assert settle() == 0.04
    monkeypatch.setattr("benchmarks.record.psutil.cpu_percent", lambda interval: 70.0)
    assert settle(longest_s=0) == 0.7


def test_statistics_and_goals() -> None:
    assert summary([3.0, 1.0, 2.5]) == {"median": 2.5, "min": 1.0, "max": 3.0}
    assert goal(0.98, "at_least", 0.98)["met"] and not goal(0.98, "at_least", 0.979)["met"]
    assert goal(3.0, "at_most", 3.0)["met"] and not goal(3.0, "at_most", 3.01)["met"]


def test_what_an_added_case_costs_leaves_its_training_out() -> None:
    few = {"seconds": 20.0, "train_s": [1.0, 1.0]}
    many = {"seconds": 40.0, "train_s": [9.0, 9.0, 2.0, 2.0, 3.0, 3.0]}
    assert marginal_s(few, many) == pytest.approx((40 - 20) / 4 - 2.5)


def test_shares_are_processor_time_by_wall_time() -> None:
    begin = FootprintReading(at_s=100.0, cpu_s={"sampler": 1.0, "parent": 5.0})
    end = FootprintReading(at_s=120.0, cpu_s={"sampler": 1.1, "parent": 6.0})
    assert shares(begin, end) == {"sampler": pytest.approx(0.005), "parent": pytest.approx(0.05)}


def test_import_costs_are_summed_by_package_dearest_first() -> None:
    told = "\n".join(
        [
            "import time: self [us] | cumulative | imported package",
            "import time:      1000 |       1000 |   yaml.error",
            "import time:      2000 |       3000 | yaml",
            "import time:      5000 |       8000 | hydra.core.utils",
            "a line of the program's own",
        ]
    )
    modules, packages = import_costs(told)
    assert modules == 3
    assert list(packages.items()) == [("hydra", pytest.approx(0.005)), ("yaml", pytest.approx(0.003))]


def test_stages_end_with_the_first_event_of_their_name() -> None:
    names = [*STAGES.values(), Name.STEP_END]
    told = [
        Event(name=name, value={}, rank=0, time_ms=0, monotonic_s=10.0 + 2 * index) for index, name in enumerate(names)
    ]
    parts = stages(told, 9.0, 35.0)
    assert list(parts) == [*STAGES, "plotted, filed, shown"]
    assert parts["composed"] == 1.0 and parts["first step done"] == 2.0
    assert parts["plotted, filed, shown"] == 35.0 - (10.0 + 2 * (len(STAGES) - 1))
    assert sum(parts.values()) == 35.0 - 9.0


def test_a_result_names_versions_and_processor_but_neither_host_nor_path(tmp_path: Path) -> None:
    import platform

    path = Record("overhead", folder=tmp_path / "new").file({"goal": goal(1.0, "at_most", 0.5)})
    text = path.read_text()
    content = json.loads(text)
    assert path.name == f"overhead_{content['date']}.json"
    assert content["goal"] == {"at_most": 1.0, "value": 0.5, "met": True}
    assert {"cpu", "cores", "python", "torch", "pytorch-lightning", "touchstone"} <= content["host"].keys()
    assert content["host"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert str(Path.home()) not in text and str(tmp_path) not in text and platform.node() not in text
