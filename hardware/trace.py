"""What a power trace says about a stretch of time: energy, and the figures that go with it.

    trace = Trace.load(run / "power.csv")
    trace.total_energy(start_s, end_s, "device").joules

Times are the machine's monotonic clock, as in events. What was not measured is null with a reason.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from math import fsum, isnan, nan
from pathlib import Path

from hardware.counters import Counter
from hardware.energy import EnergyReading, combine, measure, nothing
from hardware.meters.base import Scope
from hardware.power import Sample, clean, hold_steps, peak_of_sum
from hardware.trace_file import COLUMNS, LOST, TraceRow, TraceWriter, iter_trace, meters_path, read_meters, read_trace

__all__ = [
    "COLUMNS",
    "Observed",
    "Series",
    "Trace",
    "TraceRow",
    "TraceWriter",
    "meters_path",
    "read_meters",
    "read_trace",
]

HOST_PROCESSES = "processes"
"""Source of the watched processes' resident memory (`hardware.meters.host`)."""
CLOCK_SLACK_S = 60.0
"""By how much wall clock and monotonic clock may drift apart from one row to the next."""
IO_COUNTERS = ("disk_read_bytes", "disk_written_bytes", "network_sent_bytes", "network_received_bytes")
"""Columns of the host's cumulative counters."""
_NUMBERS = ("monotonic_s", "power_w", "energy_j", "temperature_c", "utilisation", "memory_used_bytes")


@dataclass(kw_only=True, slots=True, frozen=True)
class Observed:
    """A figure, or why there is none."""

    value: float | None
    reason: str | None = None

    def __post_init__(self) -> None:
        assert (self.value is None) == (self.reason is not None), "null needs a reason, a value must have none"


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
    tells_throttle: bool = False
    """Whether the meter can say that there was none."""
    board: str | None = None
    """Of a device without a power sensor of its own: the source of its board's power."""
    shared_by: int | None = None
    """Of a board: the most devices that its sensor was seen to measure together."""
    raw: str | None = None
    """The last text that the meter did not understand."""

    def add(self, row: TraceRow) -> None:
        """Append a reading."""
        for name in _NUMBERS:
            value = getattr(row, name)
            self.numbers[name].append(nan if value is None else value)
        for name in IO_COUNTERS:
            if (count := getattr(row, name)) is not None:
                self.counters.setdefault(name, Counter()).add(row.monotonic_s, count)
        self.tells_throttle |= row.throttle is not None
        if row.throttle:
            self.throttle.append((row.monotonic_s, row.throttle))
        self.energy_wrap_j = self.energy_wrap_j if row.energy_wrap_j is None else row.energy_wrap_j
        self.board = row.board or self.board
        self.shared_by = max(filter(None, (row.shared_by, self.shared_by)), default=None)
        self.raw = row.raw or self.raw

    def samples(self) -> Iterator[Sample]:
        """The readings as `hardware.energy` takes them."""
        columns = (self.numbers[name] for name in ("monotonic_s", "power_w", "energy_j"))
        for time_s, power_w, energy_j in zip(*columns, strict=True):
            yield time_s, None if isnan(power_w) else power_w, None if isnan(energy_j) else energy_j

    def within(self, name: str, start_s: float, end_s: float) -> list[float]:
        """What was told of one figure inside a window, edges included."""
        times = self.numbers["monotonic_s"]
        values = self.numbers[name][bisect_left(times, start_s) : bisect_right(times, end_s)]
        return [value for value in values if not isnan(value)]

    def energy(self, start_s: float, end_s: float) -> EnergyReading:
        """Energy of this source over a window."""
        return measure(
            list(self.samples()),
            start_s=start_s,
            end_s=end_s,
            scope=self.scope,
            period_s=self.period_s,
            energy_wrap_j=self.energy_wrap_j,
        )


@dataclass(kw_only=True, slots=True)
class Trace:
    """A trace by source."""

    series: list[Series]
    reasons: dict[str, str]
    """Meters that were not opened or were lost on the way, with the reason."""
    marks: dict[str, float]
    """Moments by name; the last one of each."""

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read a trace and what lies beside it; an absent trace is an empty one.

        Raises:
            ValueError: the file is no trace.
        """
        told = read_meters(path).get("meters", {})
        found: dict[tuple[str, str], Series] = {}
        reasons = {name: str(meter["reason"]) for name, meter in told.items() if meter.get("reason")}
        marks: dict[str, float] = {}
        last: TraceRow | None = None
        for row in iter_trace(path):
            if last is not None and _other_boot(last, row):
                found, marks = {}, {}
            last = row
            if row.mark and not row.source:
                marks[row.mark] = row.monotonic_s
                if row.mark.startswith(LOST):
                    reasons[row.meter] = row.raw or "lost"
            if row.source and row.scope:
                period_s = told.get(row.meter, {}).get("period_s")
                series = Series(meter=row.meter, source=row.source, scope=row.scope, period_s=period_s)
                found.setdefault((row.meter, row.source), series).add(row)
        order = list(told)
        by_order = sorted(found.values(), key=lambda one: order.index(one.meter) if one.meter in order else len(order))
        return cls(series=by_order, reasons=reasons, marks=marks)

    def energies(self, start_s: float, end_s: float, scope: Scope) -> dict[str, EnergyReading]:
        """Energy by source. Where several meters know a scope, the first that knows all its sources is taken alone.

        Raises:
            ValueError: the window does not end after its start.
        """
        return {one.source: reading for one, reading in self._energies(start_s, end_s, scope)}

    def total_energy(self, start_s: float, end_s: float, scope: Scope) -> EnergyReading:
        """Energy of all sources of a scope together; null as soon as one is unknown.

        Raises:
            ValueError: the window does not end after its start.
        """
        pairs = self._energies(start_s, end_s, scope)
        if not pairs:
            return nothing(start_s=start_s, end_s=end_s, scope=scope, reason=self.reason(scope))
        steps = [
            hold_steps(clean(one.samples()), start_s=start_s, end_s=end_s, period_s=one.period_s) for one, _ in pairs
        ]
        return combine({one.source: reading for one, reading in pairs}, peak_w=peak_of_sum(steps))

    def device_energy(self, start_s: float, end_s: float) -> EnergyReading:
        """Energy of the run's devices; where devices share a board's power sensor, of the whole boards.

        A board's energy stands for its devices only when all of them are the run's: half of a board's power is no
        device's power. Its scope says `board` then.

        Raises:
            ValueError: the window does not end after its start.
        """
        boards = {one.board for one in self.series if one.scope == "device" and one.board}
        if not boards:
            return self.total_energy(start_s, end_s, "device")
        taken = [
            one for one in self.series if one.source in boards or (one.scope == "device" and one.board not in boards)
        ]
        missing = self._untold_boards(boards)
        if missing:
            return nothing(start_s=start_s, end_s=end_s, scope="board", reason="; ".join(missing))
        readings = {one.source: self._explained(one, one.energy(start_s, end_s)) for one in taken}
        steps = [hold_steps(clean(one.samples()), start_s=start_s, end_s=end_s, period_s=one.period_s) for one in taken]
        together = {name: replace(reading, scope="board") for name, reading in readings.items()}
        return combine(together, peak_w=peak_of_sum(steps))

    def _untold_boards(self, boards: Collection[str]) -> list[str]:
        """Why a board's power does not stand for its devices: one sentence for each such board."""
        sensors = {one.source: one for one in self.series if one.scope == "board"}
        reasons = []
        for board in sorted(boards):
            measured = len({one.source for one in self.series if one.scope == "device" and one.board == board})
            shared_by = sensors[board].shared_by if board in sensors else None
            if shared_by is None:
                reasons.append(f"the power of {board}, which its devices share, was not read")
            elif measured < shared_by:
                reasons.append(f"{shared_by} devices share the power sensor of {board}, {measured} of them took part")
        return reasons

    def _energies(self, start_s: float, end_s: float, scope: Scope) -> list[tuple[Series, EnergyReading]]:
        by_meter: dict[str, list[tuple[Series, EnergyReading]]] = {}
        for one in self.series:
            if one.scope == scope and one.source != HOST_PROCESSES:
                by_meter.setdefault(one.meter, []).append((one, self._explained(one, one.energy(start_s, end_s))))
        whole = (pairs for pairs in by_meter.values() if all(reading.joules is not None for _, reading in pairs))
        return next(whole, next(iter(by_meter.values()), []))

    def _explained(self, one: Series, reading: EnergyReading) -> EnergyReading:
        """The reading, its reason completed by what the meter said."""
        said = [text for text in (self.reasons.get(one.meter), one.raw) if text]
        if reading.joules is not None or not said:
            return reading
        return replace(reading, reason=f"{reading.reason} ({'; '.join(said)})")

    def peak(self, name: str, start_s: float, end_s: float, scope: Scope = "device") -> Observed:
        """Highest `temperature_c` or `memory_used_bytes` that any one source of a scope told inside a window."""
        values = [max(told) for one in self._scoped(scope) if (told := one.within(name, start_s, end_s))]
        return Observed(value=max(values)) if values else Observed(value=None, reason=self._untold(name, scope))

    def mean_utilisation(self, start_s: float, end_s: float, scope: Scope = "device") -> Observed:
        """Mean over time of each source's utilisation (0..1), then over the sources; null if one never told it."""
        sources = self._scoped(scope)
        told = [one.within("utilisation", start_s, end_s) for one in sources]
        if not told or not all(told):
            return Observed(value=None, reason=self._untold("utilisation", scope))
        return Observed(value=fsum(fsum(values) / len(values) for values in told) / len(told))

    def throttle_reasons(self, start_s: float, end_s: float) -> tuple[str, ...]:
        """Every reason any device gave inside a window, sorted, as the vendor names them."""
        texts = (text for one in self.series for time_s, text in one.throttle if start_s <= time_s <= end_s)
        return tuple(sorted({reason for text in texts for reason in text.split("+")}))

    def tells_throttling(self) -> bool:
        """Whether any meter would have told of throttling; without one, no reason says nothing."""
        return any(one.tells_throttle for one in self.series)

    def peak_rss(self, start_s: float, end_s: float) -> Observed:
        """Highest sum of resident bytes of the watched processes inside a window."""
        processes = [one for one in self.series if one.source == HOST_PROCESSES]
        values = [value for one in processes for value in one.within("memory_used_bytes", start_s, end_s)]
        reason = self.reasons.get("host", "the processes' memory was not read in this time")
        return Observed(value=max(values)) if values else Observed(value=None, reason=reason)

    def io_totals(self, start_s: float, end_s: float) -> dict[str, Observed]:
        """Bytes that the machine's disks and network moved inside a window, by the names of IO_COUNTERS.

        Raises:
            ValueError: the window does not end after its start.
        """
        return {name: self._io_total(name, start_s, end_s) for name in IO_COUNTERS}

    def _io_total(self, name: str, start_s: float, end_s: float) -> Observed:
        counter = next((one.counters[name] for one in self.series if name in one.counters), None)
        if counter is None:
            return Observed(value=None, reason=self.reasons.get("host", f"the host does not tell {name}"))
        value, reason = counter.increase(start_s, end_s)
        return Observed(value=value, reason=reason)

    def reason(self, scope: Scope) -> str:
        """Why there is nothing of a scope, from the meters that could not be used."""
        whys = (why if why.startswith(name) else f"{name}: {why}" for name, why in self.reasons.items())
        return "; ".join([f"no meter read the {scope}", *whys])

    def _scoped(self, scope: Scope) -> list[Series]:
        """The sources of a scope, without the sums over processes."""
        return [one for one in self.series if one.scope == scope and one.source != HOST_PROCESSES]

    def _untold(self, name: str, scope: Scope) -> str:
        sources = self._scoped(scope)
        raw = next((one.raw for one in sources if one.raw), None)
        told = f"{name} was not told by every {scope} in this time" + (f" ({raw})" if raw else "")
        return told if sources else self.reason(scope)


def _other_boot(before: TraceRow, after: TraceRow) -> bool:
    """Whether the monotonic clock began anew: a run was resumed after a reboot, and what came before is void.

    A slow meter's row is late on both clocks; only a reboot moves the monotonic one back alone.
    """
    moved_s = (after.unix_s - after.monotonic_s) - (before.unix_s - before.monotonic_s)
    return after.monotonic_s < before.monotonic_s and moved_s > CLOCK_SLACK_S
