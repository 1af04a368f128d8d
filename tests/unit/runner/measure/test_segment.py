"""A segment: its losses lie side by side, so that what a step frees stays in one piece for the next."""

from __future__ import annotations

import gc

import pytest
import torch
from toy import ManualClock, ManualDevice

from hardware.scalars import TensorScalars
from models.datasets.base import Counts
from runner.measure.segment import Pass, Segment


def places(passes: int) -> dict[str, TensorScalars]:
    host = torch.device("cpu")
    return {"losses": TensorScalars(passes + 3, host), "skips": TensorScalars(passes + 3, host)}


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


def marked_pass(
    device: ManualDevice, clock: ManualClock, *, load_s: float, exchange_s: float, meeting_s: float
) -> Pass:
    """A batch comes, buffers are exchanged, half a second of own work, the ranks meet, a quarter for the optimizer."""
    clock.advance(load_s)
    marks = [device.event() for _ in range(5)]
    for mark, seconds in zip(marks, (exchange_s, 0.5, meeting_s, 0.25, 0.0), strict=True):
        mark.record()
        clock.advance(seconds)
    start, forward, alone, together, end = marks
    return Pass(start, end, Counts(samples=4, tokens=None), forward=forward, alone=alone, together=together)


def test_own_work_is_all_but_the_exchanges_of_the_ranks() -> None:
    """Own: 0.125 of loading and 0.5; waiting: 1.0 before the forward pass and 2.0 after; 0.25 is the optimizer's."""
    clock = ManualClock()
    device = ManualDevice(clock)
    opening = device.event()
    opening.record()
    segment = Segment(begin_s=clock(), opening=opening, first_step=1, **places(2))
    for _ in range(2):
        segment.add(marked_pass(device, clock, load_s=0.125, exchange_s=1.0, meeting_s=2.0), torch.tensor(1.0))
        segment.end_step(0.1, None)
    told = [(one.seconds, one.own_seconds, one.wait_seconds) for one in segment.read_back(device)]
    assert told == [(3.875, 0.625, 3.0)] * 2


def test_passes_before_the_last_of_an_accumulated_step_are_own_work_whole() -> None:
    """First pass: 0.125 + 0.5 + 0 + 0.25; the last: 0.125 + 0.5, then 2.0 of waiting."""
    clock = ManualClock()
    device = ManualDevice(clock)
    opening = device.event()
    opening.record()
    segment = Segment(begin_s=clock(), opening=opening, first_step=1, **places(2))
    for meeting_s in (0.0, 2.0):
        one = marked_pass(device, clock, load_s=0.125, exchange_s=0.0, meeting_s=meeting_s)
        segment.add(one, torch.tensor(1.0))
    segment.end_step(0.1, None)
    (record,) = segment.read_back(device)
    assert (record.seconds, record.own_seconds, record.wait_seconds) == (3.75, 1.5, 2.0)


def test_without_marks_nobody_knows_what_a_rank_did_by_itself() -> None:
    (record,) = segment_of([torch.tensor(1.0)]).read_back(ManualDevice(ManualClock()))
    assert (record.own_seconds, record.wait_seconds) == (None, None)
