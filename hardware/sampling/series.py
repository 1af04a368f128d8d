"""All readings of one source in a power trace, and the figures that a window has of it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, inf, isnan, nan

from hardware.energy.counters import Counter
from hardware.energy.energy import MOST_W, EnergyReading, measure
from hardware.energy.plausible import FRESH_S, Floor
from hardware.energy.power import Sample, hold_steps
from hardware.energy.window_energy import LEAST_SAMPLES, too_few
from hardware.meters.base import Scope
from hardware.sampling.trace_file import TraceRow

IO_COUNTERS = ("disk_read_bytes", "disk_written_bytes", "network_sent_bytes", "network_received_bytes")
"""Columns of the host's cumulative counters."""
Window = tuple[float, float]
"""Beginning and end of a stretch of time, in monotonic seconds."""
_NUMBERS = ("monotonic_s", "power_w", "energy_j", "temperature_c", "utilisation", "memory_used_bytes", "clock_mhz")


@dataclass(kw_only=True, slots=True, frozen=True)
class Observed:
    """A figure, or why there is none."""

    value: float | None
    reason: str | None = None
    n_samples: int | None = field(default=None, compare=False)
    """Readings it stands on, of the source that was read least; None where they do not count."""

    def __post_init__(self) -> None:
        assert (self.value is None) == (self.reason is not None), "null needs a reason, a value must have none"


def enough(value: float, n_samples: int) -> Observed:
    """A figure that stands on so many readings; too few are none."""
    if n_samples < LEAST_SAMPLES:
        return Observed(value=None, reason=too_few(n_samples), n_samples=n_samples)
    return Observed(value=value, n_samples=n_samples)


@dataclass(kw_only=True, slots=True)
class Series:
    """All readings of one source by one meter; numbers that were not told are NaN here, to keep long traces small."""

    meter: str
    source: str
    scope: Scope
    period_s: float | None
    energy_wrap_j: float | None = None
    numbers: dict[str, array[float]] = field(default_factory=lambda: {name: array("d") for name in _NUMBERS})
    counters: dict[str, Counter] = field(default_factory=dict)
    """Of the host: those of IO_COUNTERS that it told."""
    throttle: list[tuple[float, str]] = field(default_factory=list)
    throttle_told_s: array[float] = field(default_factory=lambda: array("d"))
    """When the meter said whether it was throttled, also that it was not; empty where it cannot say."""
    board: str | None = None
    """Of a device without a power sensor of its own: the source of its board's power."""
    shared_by: int | None = None
    """Of a board: the most devices that its sensor was seen to measure together."""
    raw: str | None = None
    """The last text that the meter did not understand."""
    floor: Floor = field(default_factory=Floor)
    """Of a device: the least that it can draw."""

    def add(self, row: TraceRow) -> None:
        """Append a reading."""
        for name in _NUMBERS:
            value = getattr(row, name)
            self.numbers[name].append(nan if value is None else value)
        for name in IO_COUNTERS:
            if (count := getattr(row, name)) is not None:
                self.counters.setdefault(name, Counter()).add(row.monotonic_s, count)
        if row.throttle is not None:
            self.throttle_told_s.append(row.monotonic_s)
        if row.throttle:
            self.throttle.append((row.monotonic_s, row.throttle))
        self.energy_wrap_j = self.energy_wrap_j if row.energy_wrap_j is None else row.energy_wrap_j
        self.board = row.board or self.board
        self.shared_by = max(filter(None, (row.shared_by, self.shared_by)), default=None)
        self.raw = row.raw or self.raw

    def samples(self) -> Iterator[Sample]:
        """The readings as `hardware.energy.energy` takes them, without powers that the source cannot have drawn."""
        columns = (self.numbers[name] for name in ("monotonic_s", "power_w", "energy_j", "utilisation"))
        busy, busy_at_s = nan, -inf
        for time_s, power_w, energy_j, utilisation in zip(*columns, strict=True):
            if not isnan(utilisation):
                busy, busy_at_s = utilisation, time_s
            known = busy if time_s - busy_at_s <= FRESH_S else nan
            refused = power_w > MOST_W[self.scope] or (self.scope == "device" and self.floor.refuses(power_w, known))
            yield time_s, None if isnan(power_w) or refused else power_w, None if isnan(energy_j) else energy_j

    def within(self, name: str, start_s: float, end_s: float) -> list[float]:
        """What was told of one figure inside a window, edges included."""
        times = self.numbers["monotonic_s"]
        values = self.numbers[name][bisect_left(times, start_s) : bisect_right(times, end_s)]
        return [value for value in values if not isnan(value)]

    def energy(self, start_s: float, end_s: float, *, steady: bool = False) -> EnergyReading:
        """Energy of this source over a window; None where a working device cannot have drawn so little.

        Args:
            start_s: beginning of the window.
            end_s: end of it.
            steady: whether the source's power does not change in the window, as at rest.
        """
        reading = measure(
            list(self.samples()),
            start_s=start_s,
            end_s=end_s,
            scope=self.scope,
            period_s=self.period_s,
            energy_wrap_j=self.energy_wrap_j,
            steady=steady,
        )
        if (reason := self._beyond(start_s, end_s)) and reading.joules is None:
            return replace(reading, reason=f"{reading.reason}; {reason}")
        busy = self.mean("utilisation", (start_s, end_s))
        told = [watts for watts in self.within("power_w", start_s, end_s) if self.floor.refuses(watts, busy)]
        low = reading.mean_w is not None and self.floor.refuses(reading.mean_w, busy)
        if self.scope != "device" or not (low or (reading.joules is None and told)):
            return reading
        watts = fsum(told) / len(told) if reading.mean_w is None else reading.mean_w
        at = "" if isnan(busy) else f" at a utilisation of {busy:.0%}"
        reason = f"{watts:.3g} W{at} is no reading of a device's power: its sensor or counter does not work"
        return replace(reading, joules=None, mean_w=None, peak_w=None, uncertainty_j=None, method="none", reason=reason)

    def _beyond(self, start_s: float, end_s: float) -> str | None:
        """Which power was told that no such source can draw; None where none was."""
        most_w = max(self.within("power_w", start_s, end_s), default=0.0)
        if most_w <= MOST_W[self.scope]:
            return None
        return f"{most_w:,.0f} W is more than a {self.scope} can draw: it is in another unit, or no power"

    def within_all(self, name: str, windows: Sequence[Window]) -> list[float]:
        """What was told of one figure inside several windows."""
        return [value for start_s, end_s in windows for value in self.within(name, start_s, end_s)]

    def tells_throttling_in(self, windows: Sequence[Window]) -> bool:
        """Whether the meter said inside the windows if the source was throttled.

        One of less than two periods may lie between two readings, as long as not all of them do.
        """
        times, short_s = self.throttle_told_s, 2 * (self.period_s or 0.0)
        told = [bisect_left(times, start_s) < bisect_right(times, end_s) for start_s, end_s in windows]
        due = [said or end_s - start_s < short_s for said, (start_s, end_s) in zip(told, windows, strict=True)]
        return all(due) and any(told)

    def throttling_reads(self, windows: Sequence[Window]) -> int:
        """How often it was read inside the windows whether the source was throttled."""
        times = self.throttle_told_s
        return sum(bisect_right(times, end_s) - bisect_left(times, start_s) for start_s, end_s in windows)

    def mean(self, name: str, *windows: Window) -> float:
        """Mean over the parts of windows in which a figure is known, each value held to the next; NaN without any."""
        columns = zip(self.numbers["monotonic_s"], self.numbers[name], strict=True)
        told = [(time_s, value, None) for time_s, value in columns if not isnan(value)]
        steps = [
            step
            for start_s, end_s in windows
            for step in hold_steps(told, start_s=start_s, end_s=end_s, period_s=self.period_s)
        ]
        known_s = fsum(step.known_s for step in steps)
        return fsum(step.watts * step.known_s for step in steps) / known_s if known_s else nan
