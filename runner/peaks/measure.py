"""The timing loop: warm-up, then equal blocks between edges at which the device has done all its work.

A block's time is the slowest rank's. The figure is the median of the blocks, so that one disturbed block does not
decide it; a single shot is never reported.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from hardware.base import Device
from runner.measure.edges import Edges
from runner.measure.ranks import Ranks
from runner.record.peaks.peak_figures import Peak, Spread

if TYPE_CHECKING:
    import torch

BLOCKS = 10
"""Blocks that a figure is meant to have …"""
FEWEST_BLOCKS = 5
"""… and has at least, however long a call takes."""
WARM_UP = 0.2
"""Of a figure's seconds: calls before the first block."""
FEWEST_LOOKS = 3
"""Times that a warm-up looks at the clock: the first call compiles, allocates and connects."""


@dataclass(kw_only=True, slots=True)
class Work:
    """Something to do over and over."""

    call: Callable[[], object]
    amount: float
    """Operations or bytes of one call."""
    reset: Callable[[], object] | None = None
    """Done before each block, outside its time."""
    most_calls: int | None = None
    """Of one block; null: no limit."""


@dataclass(kw_only=True, slots=True)
class Bench:
    """One rank's device with all that measuring on it takes."""

    device: Device
    torch_device: torch.device
    ranks: Ranks
    seconds: float
    """Timed seconds of each figure, at least."""
    mark: Callable[[str], float]
    """Has the meters read now; returns the monotonic time."""
    on_host: bool = False
    """Whether the device is the host's processor, which all ranks share."""
    clock: Callable[[], float] = time.perf_counter
    """Seconds; another one in tests."""

    @property
    def edges(self) -> Edges:
        """What a block lies between."""
        return Edges(device=self.device, ranks=self.ranks, mark=self.mark, clock=self.clock)

    @property
    def longest_call_s(self) -> float:
        """A call that takes longer leaves too few blocks in the figure's seconds."""
        return self.seconds / FEWEST_BLOCKS


@dataclass(kw_only=True, slots=True)
class Timed:
    """What the blocks took."""

    amount: float
    calls: int
    """Of one block."""
    seconds: list[float]
    """Of each block, the slowest rank's."""
    window_s: tuple[float, float]
    host_load: float
    """Share of the host's cores, 0..1, that others than the ranks kept busy meanwhile."""

    @property
    def rate(self) -> float:
        """Operations or bytes per second, the median over the blocks."""
        return statistics.median(self.amount * self.calls / seconds for seconds in self.seconds)

    def peak(self, unit: str, *, scale: float, conditions: dict[str, Any]) -> Peak:
        """The figure: the median rate over the blocks, divided by `scale`."""
        rates = [self.amount * self.calls / seconds / scale for seconds in self.seconds]
        median = statistics.median(rates)
        spread = Spread(
            lowest=min(rates),
            highest=max(rates),
            relative=(max(rates) - min(rates)) / median,
            blocks=len(rates),
        )
        told = conditions | {"calls_per_block": self.calls, "timed_s": sum(self.seconds), "host_load": self.host_load}
        return Peak(value=median, unit=unit, spread=spread, conditions=told, window_s=self.window_s)


def measure(work: Work, bench: Bench, *, seconds: float | None = None) -> Timed:
    """Warm up, then time blocks for at least `seconds`, the bench's where it is null; every rank calls it together."""
    wanted_s = bench.seconds if seconds is None else seconds
    call_s = warm_up(work, bench, WARM_UP * wanted_s)
    calls = _calls(work, wanted_s / BLOCKS, call_s)
    took: list[float] = []
    begin_s, before = bench.mark("begin"), _host()
    while sum(took) < wanted_s or len(took) < FEWEST_BLOCKS:
        took.append(_block(work, bench, calls))
    load = _load(before, _host(), bench.ranks)
    return Timed(amount=work.amount, calls=calls, seconds=took, window_s=(begin_s, bench.mark("end")), host_load=load)


@dataclass(kw_only=True, slots=True, frozen=True)
class _Host:
    """Seconds of the host's cores since some beginning."""

    all_s: float
    idle_s: float
    own_s: float
    """This process's, of all its threads."""


def _host() -> _Host:
    told = psutil.cpu_times()._asdict()
    guests = told.get("guest", 0.0) + told.get("guest_nice", 0.0)  # counted in user and nice already
    idle = told["idle"] + told.get("iowait", 0.0)
    return _Host(all_s=sum(told.values()) - guests, idle_s=idle, own_s=time.process_time())


def _load(before: _Host, after: _Host, ranks: Ranks) -> float:
    """What others took of the host, on every rank the same; a measured peak is too low where that is much."""
    own_s = ranks.sum(after.own_s - before.own_s)
    all_s, idle_s = after.all_s - before.all_s, after.idle_s - before.idle_s
    # The kernel counts in ticks of 10 ms: in a very short window the ranks may seem to have taken more than there was.
    load = max(0.0, all_s - idle_s - own_s) / all_s if all_s > 0 else 0.0
    return ranks.greatest(load)  # each rank reads the counters a moment apart from the others


def warm_up(work: Work, bench: Bench, at_least_s: float) -> float:
    """Call until `at_least_s` have gone by; returns the seconds per call at the end."""
    spent_s, looks, calls = 0.0, 0, 1
    while True:
        took_s = _block(work, bench, calls)
        spent_s, looks, call_s = spent_s + took_s, looks + 1, took_s / calls
        if spent_s >= at_least_s and looks >= FEWEST_LOOKS:
            return call_s
        calls = _calls(work, at_least_s / FEWEST_LOOKS, call_s)


def _calls(work: Work, seconds: float, call_s: float) -> int:
    wanted = max(1, math.ceil(seconds / max(call_s, 1e-9)))
    return min(wanted, work.most_calls or wanted)


def _block(work: Work, bench: Bench, calls: int) -> float:
    """Seconds of so many calls on the slowest rank."""
    if work.reset is not None:
        work.reset()
    edges = bench.edges
    begin_s = edges.open()
    for _ in range(calls):
        work.call()
    return bench.ranks.greatest(edges.close() - begin_s)
