"""A segment: its losses lie side by side, so that what a step frees stays in one piece for the next."""

from __future__ import annotations

import gc

import pytest
import torch
from toy import ManualClock, ManualDevice

from models.datasets.base import Counts
from runner.measure.segment import Pass, Segment


def places(passes: int) -> dict[str, torch.Tensor]:
    return {"losses": torch.empty(passes + 3), "skips": torch.zeros(passes + 3)}


def segment_of(
    losses: list[torch.Tensor], *, accumulate: int = 1, skips: list[bool | torch.Tensor] | None = None
) -> Segment:
    clock = ManualClock()
    device = ManualDevice(clock)
    opening = device.event()
    opening.record()
    segment = Segment(begin_s=clock(), opening=opening, first_step=11, **places(len(losses)))
    for number, loss in enumerate(losses, 1):
        start, end = device.event(), device.event()
        start.record()
        clock.advance(0.5)
        end.record()
        segment.add(Pass(start, end, Counts(samples=4, tokens=None)), loss)
        if number % accumulate == 0:
            segment.end_step(0.1, None if skips is None else skips[segment.steps])
    return segment


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_losses_are_read_back_in_the_order_of_the_passes(dtype: torch.dtype) -> None:
    losses = [torch.tensor(value, dtype=dtype, requires_grad=True) * 1 for value in (0.5, 0.25, 2.0, 4.0)]
    records = segment_of(losses, accumulate=2).read_back(ManualDevice(ManualClock()))
    assert [(record.step, record.loss, record.seconds, record.samples) for record in records] == [
        (11, 0.75, 1.0, 8),
        (12, 6.0, 1.0, 8),
    ]


def test_no_pass_leaves_a_tensor_of_its_own() -> None:
    def held() -> int:
        gc.collect()
        return sum(isinstance(one, torch.Tensor) for one in gc.get_objects())

    before = held()
    segment = segment_of([torch.tensor(float(number)) for number in range(50)])
    assert len(segment.passes) == 50
    assert held() <= before + 2, "one tensor for all losses, one for all skips"


def test_a_skipped_step_has_its_time_and_its_loss_but_no_samples() -> None:
    skips: list[bool | torch.Tensor] = [torch.tensor(True), torch.tensor(False), True]
    losses = [torch.tensor(float(number)) for number in range(6)]
    records = segment_of(losses, accumulate=2, skips=skips).read_back(ManualDevice(ManualClock()))
    assert [(record.skipped, record.samples, record.loss, record.seconds) for record in records] == [
        (True, 0, 1.0, 1.0),
        (False, 8, 5.0, 1.0),
        (True, 0, 9.0, 1.0),
    ]
