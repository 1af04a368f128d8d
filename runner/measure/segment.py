"""Uninterrupted work between two synchronised edges, and what its steps become afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hardware.base import Device, DeviceEvent
from hardware.scalars import Scalars
from models.datasets.base import Counts
from runner.measure.step_records import StepRecord


@dataclass(slots=True)
class Pass:
    """One forward and backward pass, as noted while it runs: marks, nothing read back."""

    start: DeviceEvent
    """The batch is on the device."""
    end: DeviceEvent
    counts: Counts
    forward: DeviceEvent | None = None
    """The forward pass begins, after what the ranks sent each other before it; `start` where they sent nothing."""
    alone: DeviceEvent | None = None
    """What this rank does by itself is done: what follows waits for the other ranks."""
    together: DeviceEvent | None = None
    """The ranks' gradients are one."""


@dataclass(kw_only=True, slots=True)
class Segment:
    """Collects passes without touching the device; `read_back` turns them into numbers after the closing sync."""

    begin_s: float
    """Monotonic time of the opening edge."""
    opening: DeviceEvent
    first_step: int
    losses: Scalars
    """On the device, a place for each pass it can come to hold."""
    skips: Scalars
    """On the device, a place for each step: not 0 where the gradient scaler skipped it."""
    passes: list[Pass] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    """One per finished optimizer step."""
    own_s: float = 0.0
    """Host seconds the engine's callbacks spent inside the segment."""

    @property
    def steps(self) -> int:
        """Finished optimizer steps."""
        return len(self.learning_rates)

    def between_steps(self, passes_per_step: int) -> bool:
        """Whether the next pass is the first one of a step."""
        return len(self.passes) == self.steps * passes_per_step

    def add(self, one: Pass, loss: Any) -> None:
        """Note a pass; its loss, a scalar of the framework, stays on the device."""
        self.losses.put(len(self.passes), loss)
        self.passes.append(one)

    def end_step(self, learning_rate: float, skipped: Any) -> None:
        """Note the end of an optimizer step; whether it was skipped stays on the device."""
        if skipped is not None:
            self.skips.put(self.steps, skipped)
        self.learning_rates.append(learning_rate)

    def read_back(self, device: Device) -> list[StepRecord]:
        """The segment's steps as numbers. Call after `device.synchronize()`."""
        if not self.steps:
            return []
        losses, skips = self.losses.values(len(self.passes)), self.skips.values(self.steps)
        accumulate = len(self.passes) // self.steps
        timed = device.times_on_device()
        records: list[StepRecord] = []
        previous, offset = self.opening, 0.0
        for index, rate in enumerate(self.learning_rates):
            group = self.passes[index * accumulate : (index + 1) * accumulate]
            seconds = device.elapsed_s(previous, group[-1].end)
            offset += seconds
            skipped = bool(skips[index])
            counted = [] if skipped else [one.counts for one in group]
            tokens = [one.counts.tokens for one in group]
            own, wait = _own_and_wait(device, previous, group) if timed else (None, None)
            records.append(
                StepRecord(
                    step=self.first_step + index,
                    seconds=seconds if timed else None,
                    core_seconds=sum(device.elapsed_s(one.start, one.end) for one in group) if timed else None,
                    samples=sum(counts.samples for counts in counted),
                    tokens=None if None in tokens else sum(counts.tokens or 0 for counts in counted),
                    loss=sum(losses[index * accumulate : (index + 1) * accumulate]),
                    learning_rate=rate,
                    offset_s=offset,
                    skipped=skipped,
                    own_seconds=own,
                    wait_seconds=wait,
                )
            )
            previous = group[-1].end
        return records


def _own_and_wait(device: Device, previous: DeviceEvent, group: Sequence[Pass]) -> tuple[float | None, float | None]:
    """Seconds of a step that a rank worked by itself, and that it waited; None where not every pass was marked.

    It waits between a batch and its forward pass, where the ranks send each other something there, and from the end of
    its own work until they have met. Passes before the last one of an accumulated step end without a word between
    them.
    """
    own = wait = 0.0
    for one in group:
        until = one.alone if one is group[-1] else one.end
        if one.forward is None or until is None:
            return None, None
        own += device.elapsed_s(previous, one.start) + device.elapsed_s(one.forward, until)
        wait += device.elapsed_s(one.start, one.forward)
        previous = one.end
    alone, together = group[-1].alone, group[-1].together
    return own, None if alone is None or together is None else wait + device.elapsed_s(alone, together)
