"""What belongs to the window alone, and to exactly what was compiled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from case_samples import make_case

from hardware.base import MemoryPeaks
from models.inference import Inference
from runner.core.events import Name
from runner.serving import compile as compiling
from runner.serving import course


class Device:
    """Holds more once the points are measured, as further batch sizes do."""

    def __init__(self) -> None:
        self.held = 0

    def reset_memory_peaks(self) -> None:
        self.held = 0

    def memory_peaks(self) -> MemoryPeaks:
        return MemoryPeaks(allocated_bytes=self.held, reserved_bytes=self.held)

    def own_identities(self, count: int) -> list[Any]:
        return [SimpleNamespace(name="A chip")] * count


def test_memory_is_that_of_the_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Further batch sizes, measured behind the window, may hold more than what was served in it."""
    device, told = Device(), []
    events = SimpleNamespace(emit=lambda name, value: told.append((name, value)))

    def hold(amount: int) -> Any:
        return lambda *_: setattr(device, "held", max(device.held, amount))

    def nothing(*_: object) -> Any:
        return []

    way = SimpleNamespace(
        outputs=nothing, scored=hold(900), system=nothing, measure_points=hold(700), close=lambda: None
    )
    session = SimpleNamespace(window=hold(100))
    doubles: dict[str, Any] = {
        "build_served": lambda case: SimpleNamespace(generation=None),
        "reference_of": lambda *_: SimpleNamespace(accuracy=None, made_now=True),
        "calibration_of": lambda *_: ([], True),
        "ForwardWay": lambda *_: way,
        "_numerics": nothing,
        "_accuracy": nothing,
        "ServingSession": lambda _: session,
        "arrival_of": nothing,
    }
    for name, double in doubles.items():
        monkeypatch.setattr(course, name, double)
    context: Any = SimpleNamespace(
        case=make_case("infer"), folder=tmp_path, events=events, device=device, preparing=lambda _: None
    )
    course.serve(context)
    assert [value["allocated_bytes"] for name, value in told if name == Name.MEMORY] == [100]


def test_what_was_calibrated_by_other_rows_is_not_taken_up(tmp_path: Path) -> None:
    """The same folder of data may hold other rows tomorrow, and another seed draws others."""
    case = make_case("infer")
    model = replace(case.model, infer=Inference(batch_size=2))
    case = replace(case, model=model, data=replace(case.data, cache=str(tmp_path)))
    context: Any = SimpleNamespace(case=case, device=Device())
    served: Any = SimpleNamespace(digest="weights", model=SimpleNamespace(output_names=("logits",)))
    engine: Any = SimpleNamespace(packages=())

    def folder(rows: torch.Tensor) -> Path:
        return compiling._folder(context, served, engine, {"image": torch.zeros(2, 3)}, [(rows,)])

    assert folder(torch.zeros(2, 3)) == folder(torch.zeros(2, 3)) != folder(torch.ones(2, 3))
