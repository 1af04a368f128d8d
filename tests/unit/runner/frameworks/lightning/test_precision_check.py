"""The check before the first step: what it tells, and when it warns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import Toy, lone_context, toy_case

from hardware.spec import PrecisionSpec
from hardware.vendors.cpu import Cpu
from runner.core.events import Event, Name, read_events
from runner.frameworks import precision
from runner.frameworks.lightning.module import TrainableModule
from runner.frameworks.lightning.trainer import build_trainer
from runner.frameworks.loaders import SyntheticLoader

FP32 = toy_case().precision
BF16 = PrecisionSpec(name="bf16", weights="float32", autocast="bfloat16", matmul="ieee")


def trained(folder: Path, asked: PrecisionSpec) -> list[Event]:
    """The events of two steps in a precision."""
    case = replace(toy_case(), precision=asked)
    device = Cpu(case.vendor)
    device.connect()
    toy = Toy(case.model)
    trainer = build_trainer(lone_context(case, folder, device), [], max_steps=2, limit_val_batches=0)
    trainer.fit(TrainableModule(toy), train_dataloaders=SyntheticLoader(toy.synthetic_batch(8)))
    return read_events(folder / "events" / "rank0.log")[0]


def told(events: list[Event], name: Name) -> list[dict[str, Any]]:
    return [event.value for event in events if event.name == name]


@pytest.mark.parametrize(("ratio", "warned"), [(24.6, True), (1.9, False), (0.1, False)])
def test_a_type_that_only_software_computes_is_warned_of(
    ratio: float, warned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def timed(dtype: torch.dtype, device: torch.device, synchronize: Any) -> float:
        asked.append((dtype, device.type))
        return ratio

    monkeypatch.setattr(precision, "time_to_float32", timed)
    events = trained(tmp_path, BF16)
    assert asked == [(torch.bfloat16, "cpu")]
    assert [value["product_time_to_float32"] for value in told(events, Name.PRECISION)] == [ratio]
    warnings = [value["message"] for value in told(events, Name.WARNING)]
    assert len(warnings) == warned
    assert all("precision=bf16" in text and "bfloat16 takes 25 times" in text for text in warnings)


def test_float32_is_not_compared_with_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(precision, "time_to_float32")
    events = trained(tmp_path, FP32)
    assert [value["product_time_to_float32"] for value in told(events, Name.PRECISION)] == [None]
    assert told(events, Name.WARNING) == []


def test_what_the_check_allocates_is_no_peak_of_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(precision, "time_to_float32", lambda *_: order.append("products") or 1.0)
    monkeypatch.setattr(Cpu, "reset_memory_peaks", lambda self: order.append("reset"))
    trained(tmp_path, BF16)
    assert order == ["products", "reset"]
