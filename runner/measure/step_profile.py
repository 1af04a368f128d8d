"""One step of warm-up under torch's profiler, for what it sends to the other ranks. Never one of the window."""

from __future__ import annotations

import traceback
from contextlib import ExitStack
from dataclasses import asdict
from math import prod
from typing import Any

from runner.config.schema import Topology
from runner.core.events import EventWriter, Name
from runner.measure.collectives import FORWARD, UncountableError, count
from runner.measure.lone_groups import lone_groups_marked
from runner.measure.ranks import first_line

STEP = 3
"""Which step of a part is profiled: in its first, data parallel checks its parameters and FSDP2 allocates; in its
second, data parallel cuts its buckets anew."""


def group_of(topology: Topology) -> int | None:
    """Ranks of every collective; None where the layout has groups of several sizes."""
    parallel = topology.parallel
    spread = (parallel.fsdp, parallel.tensor, parallel.pipeline)
    axes = (topology.ranks // prod(spread), *spread)
    return topology.ranks if sum(size > 1 for size in axes) <= 1 else None


class StepProfile:
    """Profiles the third step that a part trains, on the first rank, and tells what went to collectives.

    Only what the host calls is recorded: no tracing of the device, which would stay in its driver during the window.
    """

    def __init__(self, events: EventWriter, *, rank: int, group: int | None) -> None:
        """Prepare; nothing is recorded yet.

        Args:
            events: where to.
            rank: this one; only the first records, all know which step it is.
            group: ranks of every collective; None where the layout has groups of several sizes.
        """
        self._events, self._rank, self._group = events, rank, group
        self._step = 0
        self._profiler: Any = None
        self._forward: Any = None
        self._lone_groups = ExitStack()

    def begin_step(self, *, in_warmup: bool) -> None:
        """A step begins, its batch on the device; data parallel has sent nothing yet."""
        self._step += 1
        if self._step == STEP and in_warmup and self._rank == 0:
            from torch.profiler import ProfilerActivity, profile

            self._profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
            self._profiler.start()
            self._lone_groups.enter_context(lone_groups_marked())

    def begin_forward(self) -> None:
        """The forward pass of a pass begins."""
        if self._profiler is not None:
            from torch.profiler import record_function

            self._forward = record_function(FORWARD)
            self._forward.__enter__()

    def end_forward(self) -> None:
        """It is over."""
        if self._forward is not None:
            self._forward.__exit__(None, None, None)
            self._forward = None

    def end_step(self) -> bool:
        """An optimizer step is over; says whether it was the profiled one, on whichever rank."""
        if self._profiler is not None:
            profiler, self._profiler = self._profiler, None
            self._lone_groups.close()
            self._events.emit(Name.COMMUNICATION, self._told(profiler))
        return self._step == STEP

    def _told(self, profiler: Any) -> dict[str, Any]:
        try:
            profiler.stop()
            events = profiler.profiler.kineto_results.experimental_event_tree()
            counted = count(events, group=self._group)
        except UncountableError as error:
            return {"reason": str(error)}
        except Exception as error:  # noqa: BLE001 -- the profiler is torch's inside; without it there is no figure
            traceback.print_exc()
            return {"reason": f"torch's profiler failed: {first_line(error)}"}
        return {"step": self._step, **asdict(counted)}
