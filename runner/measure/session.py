"""Measures speed: warm-up blocks until steady, then segments between synchronised edges. Knows no framework.

Inside a segment nothing waits for the device, is printed, logged or read back. A step boundary is one device event;
events become numbers after the segment's closing synchronisation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hardware.base import DeviceEvent
from models.datasets.base import Counts
from runner.core.events import Name
from runner.measure.context import Context
from runner.measure.divergence import Divergence
from runner.measure.edges import Edges
from runner.measure.ranks import Ranks
from runner.measure.segment import Pass, Segment
from runner.measure.step_events import emit_steps
from runner.measure.step_profile import StepProfile, group_of
from runner.measure.step_records import StepRecord, StepsFile
from runner.measure.totals import SegmentTotals, Totals, join_ranks
from runner.measure.window import WarmUpWatch

PlanSegment = Callable[[float, int, float], int]
"""(expected seconds per step, steps measured, seconds measured) to the steps of the next segment; 0 ends the window."""


class Session:
    """Times the steps of one rank; every rank opens and closes its segments at the same steps."""

    def __init__(
        self,
        context: Context,
        ranks: Ranks,
        plan_segment: PlanSegment,
        *,
        passes_per_step: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is open yet.

        Args:
            context: the rank's case, device, events and marks.
            ranks: how the ranks of this framework meet.
            plan_segment: how long the next segment is.
            passes_per_step: forward passes of one step.
            clock: seconds, monotonic; another one in tests.
        """
        self._context, self._ranks, self._plan_segment, self._clock = context, ranks, plan_segment, clock
        self._device, self._events = context.device, context.events
        self._edges = Edges(device=context.device, ranks=ranks, mark=context.mark, clock=clock)
        self._passes_per_step = passes_per_step
        warmup = context.case.measure.warmup
        self._warmup: WarmUpWatch | None = WarmUpWatch(spec=warmup)
        self._divergence = Divergence(block_steps=warmup.block_steps)
        self._profile = _profile(context)
        self._profiled = False
        """Whether the open block of warm-up has the profiled step, which says nothing about the speed."""
        self._steps_file = StepsFile(context.folder / "steps.csv", rank=context.rank)
        self.totals = Totals()
        self.complete = False
        """Whether the window is complete, so that nothing more is to be run."""
        self._segment: Segment | None = None
        self._planned = 0
        self._measured: list[tuple[int, float]] = []
        """Steps and seconds of each closed segment of the window."""
        self._step_s = 0.0

    # --- inside a segment -------------------------------------------------------------------------------------

    def begin_pass(self, counts: Counts, entered_s: float) -> None:
        """Mark that a batch is on the device.

        Args:
            counts: what the batch holds.
            entered_s: `time.perf_counter()` when the framework called; what passed since is the engine's own time.
        """
        assert self._segment is not None, "a pass lies in an open segment"
        if self._profile is not None and self._segment.between_steps(self._passes_per_step):
            self._profile.begin_step(in_warmup=self._warmup is not None)
        self._counts = counts
        self._forward: DeviceEvent | None = None
        self._alone: DeviceEvent | None = None
        self._together: DeviceEvent | None = None
        self._start: DeviceEvent = self._marked()
        self._segment.own_s += time.perf_counter() - entered_s

    def begin_forward(self, *, exchanged: bool = False) -> None:
        """Mark that the forward pass begins.

        This mark and the next three are for several ranks: without them nobody is told which of them is slow.

        Args:
            exchanged: whether the ranks sent each other something since the batch was there, and so waited.
        """
        self._forward = self._marked() if exchanged else self._start
        if self._profile is not None:
            self._profile.begin_forward()

    def end_forward(self) -> None:
        """Note that the forward pass was submitted: collectives until here hold up ranks inside it."""
        if self._profile is not None:
            self._profile.end_forward()

    def end_alone(self) -> None:
        """Mark that the rank's own work of the pass is submitted: what follows waits for the other ranks."""
        self._alone = self._marked()

    def meet(self) -> None:
        """Mark that the ranks' gradients are one."""
        self._together = self._marked()

    def _marked(self) -> DeviceEvent:
        mark = self._device.event()
        mark.record()
        return mark

    def end_pass(self, loss: Any, entered_s: float) -> None:
        """Mark that a pass is submitted; its loss stays on the device.

        Args:
            loss: the pass's share of the step's loss, a scalar of the framework on the device.
            entered_s: as of `begin_pass`.
        """
        end = self._marked()
        assert self._segment is not None, "a pass lies in an open segment"
        one = Pass(self._start, end, self._counts, forward=self._forward, alone=self._alone, together=self._together)
        self._segment.add(one, loss)
        self._segment.own_s += time.perf_counter() - entered_s

    def end_step(self, learning_rate: float, skipped: Any = None) -> bool:
        """Note that an optimizer step is submitted, after its last pass.

        Args:
            learning_rate: the rate that the step was taken with.
            skipped: whether the gradient scaler left the weights alone, on the device; None without a scaler.

        Returns:
            Whether it was the segment's last step: now it is to be closed.
        """
        began_s = time.perf_counter()
        assert self._segment is not None, "a step lies in an open segment"
        self._segment.end_step(learning_rate, skipped)
        if self._profile is not None:
            self._profiled |= self._profile.end_step()
        self._segment.own_s += time.perf_counter() - began_s
        return self._segment.steps == self._planned

    # --- edges ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the next block of warm-up or segment of the window, or find the window complete."""
        self._planned = self._next_steps()
        if self.complete:
            return
        own = self._context.local_rank
        losses = self._device.scalars(self._planned * self._passes_per_step, own)
        skips = self._device.scalars(self._planned, own)
        opening = self._device.event()
        begin_s = self._edges.open(self._mark("begin"))
        opening.record()
        first_step = self.totals.taken + 1
        self._segment = Segment(begin_s=begin_s, opening=opening, first_step=first_step, losses=losses, skips=skips)

    def close(self) -> None:
        """Close the open segment and read it back; without one, or before its first step, nothing was measured."""
        segment, self._segment = self._segment, None
        if segment is None or segment.steps == 0:
            return
        end_s = self._edges.close(self._mark("end"))
        records = segment.read_back(self._device)
        share = join_ranks(self._ranks, records, end_s - segment.begin_s)
        self._add(records, share, segment.begin_s)
        self._step_s = share.seconds / len(records)
        learnt = sum(not record.skipped for record in records)
        if self._warmup is not None:
            self._end_block(self._warmup, len(records), no_speed=learnt == 0 or self._profiled)
            self._profiled = False
        else:
            self._end_segment(segment, share, end_s, steps=learnt)

    def _next_steps(self) -> int:
        if self._warmup is not None:
            return self._warmup.spec.block_steps
        measured = sum(steps for steps, _ in self._measured), sum(seconds for _, seconds in self._measured)
        planned = self._plan_segment(self._step_s, *measured)
        self.complete = planned == 0
        if not self.complete:
            expected = {"planned_steps": planned, "expected_s": planned * self._step_s}
            self._events.emit(Name.SEGMENT_BEGIN, {"segment": len(self._measured), **expected})
        return planned

    def _mark(self, edge: str) -> str | None:
        """The name under which the meters are read at an edge; they are not at those of warm-up."""
        return None if self._warmup is not None else f"segment_{edge}:{len(self._measured)}"

    def _end_block(self, watch: WarmUpWatch, steps: int, *, no_speed: bool) -> None:
        watch.add(self._step_s, steps, no_speed=no_speed)
        if watch.over:
            self._warmup = None
            told = {"steady": watch.steady, "steps": watch.steps, "seconds": watch.elapsed_s, "reason": watch.reason}
            self._events.emit(Name.WARMUP_END, told)

    def _end_segment(self, segment: Segment, share: SegmentTotals, end_s: float, *, steps: int) -> None:
        edges = {"segment": len(self._measured), "begin_s": segment.begin_s, "end_s": end_s}
        self._events.emit(Name.SEGMENT_END, {**edges, "steps": steps, "own_s": segment.own_s, **asdict(share)})
        self._measured.append((steps, share.seconds))

    def _add(self, records: list[StepRecord], share: SegmentTotals, begin_s: float) -> None:
        phase = "warmup" if self._warmup is not None else "window"
        self._steps_file.append(phase, records)
        before, clock = self.totals.samples, self._clock
        emit_steps(self._events, records, share, phase=phase, begin_s=begin_s, samples_before=before, clock=clock)
        self.totals.add(records, share)
        self._divergence.look(records)

    # --- resuming ---------------------------------------------------------------------------------------------

    def go_on_from(self, totals: Totals) -> None:
        """Go on from an earlier part's totals."""
        self.totals = totals


def _profile(context: Context) -> StepProfile | None:
    """What profiles a step of several ranks."""
    if context.world == 1:
        return None
    return StepProfile(context.events, rank=context.rank, group=group_of(context.case.topology))
