"""When to measure: pure decisions about warm-up and window, from block means alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from runner.config.schema import WarmUp, WindowSpec


@dataclass(kw_only=True, slots=True)
class WarmUpWatch:
    """Decides when the speed no longer changes: the last `blocks` block means lie within `tolerance` of their mean."""

    spec: WarmUp
    means_s: list[float] = field(default_factory=list)
    """Seconds per optimizer step, one mean per block; over several ranks the slowest rank's."""
    steps: int = 0
    """Optimizer steps seen so far."""
    elapsed_s: float = 0.0

    def add(self, mean_s: float, steps: int, *, no_speed: bool = False) -> None:
        """Note one more block; an evaluation may have cut it short.

        A block that says nothing about the speed brings the caps nearer: one whose every step was skipped by the
        gradient scaler, and one with the step that was profiled.
        """
        if not no_speed:
            self.means_s.append(mean_s)
        self.steps += steps
        self.elapsed_s += mean_s * steps

    @property
    def steady(self) -> bool:
        """Whether the last blocks agree."""
        last = self.means_s[-self.spec.blocks :]
        if len(last) < self.spec.blocks:
            return False
        centre = sum(last) / len(last)
        return max(abs(value - centre) for value in last) <= self.spec.tolerance * centre

    @property
    def over(self) -> bool:
        """Whether warm-up ends here: steady, or one of its caps reached."""
        capped = self.steps + self.spec.block_steps > self.spec.max_steps or self.elapsed_s >= self.spec.max_s
        return self.steady or capped

    @property
    def reason(self) -> str | None:
        """Why warm-up ended without being steady."""
        if self.steady:
            return None
        spec, seen = self.spec, len(self.means_s)
        if seen < spec.blocks:
            return (
                f"the cap of {self._cap} ended warm-up after {self.steps} steps ({self.elapsed_s:.0f} s), with {seen} "
                f"of the {spec.blocks} blocks of {spec.block_steps} steps by which steadiness is judged"
            )
        return (
            f"the last {spec.blocks} blocks of {spec.block_steps} steps still differed by more than "
            f"{spec.tolerance:.0%} after {self.steps} steps ({self.elapsed_s:.0f} s), when the cap of {self._cap} "
            "ended warm-up"
        )

    @property
    def _cap(self) -> str:
        spec = self.spec
        return f"{spec.max_s:g} s" if self.elapsed_s >= spec.max_s else f"{spec.max_steps} steps"


def steps_for(spec: WindowSpec, step_s: float, *, done_steps: int = 0, done_s: float = 0.0) -> int:
    """Optimizer steps that still belong to the window; 0 when it is complete.

    Fixed before they are run, so that all ranks agree without talking inside the window.

    Args:
        spec: the window's least and largest extent.
        step_s: expected seconds per step.
        done_steps: steps already measured.
        done_s: seconds already measured.
    """
    left_s = spec.max_s - done_s
    if left_s <= 0 or (done_s >= spec.min_s and done_steps >= spec.min_steps):
        return 0
    margin = 1.02  # the last block before a window tends to be a little slower than the window
    for_time = math.ceil((spec.min_s - done_s) * margin / step_s)
    for_count = spec.min_steps - done_steps
    return max(1, min(max(for_time, for_count), math.ceil(left_s / step_s)))
