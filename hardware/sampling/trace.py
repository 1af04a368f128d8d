"""What a power trace says about a stretch of time: energy, and the figures that go with it.

    trace = Trace.load(run / "power.csv")
    trace.total_energy(start_s, end_s, "device").joules

Times are the machine's monotonic clock, as in events. What was not measured is None with a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, inf, isnan
from pathlib import Path

from hardware.energy.energy import EnergyReading, combine, nothing
from hardware.energy.plausible import Floor, throttles
from hardware.energy.power import clean, hold_steps, peak_of_sum
from hardware.energy.window_energy import too_few
from hardware.meters.base import Scope
from hardware.sampling.series import IO_COUNTERS, Observed, Series, Window, enough
from hardware.sampling.trace_file import (
    COLUMNS,
    LOST,
    TraceRow,
    TraceWriter,
    costs_of,
    iter_trace,
    meters_path,
    other_boot,
    read_meters,
    read_trace,
)

__all__ = [
    "COLUMNS",
    "IO_COUNTERS",
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
"""Source of the watched processes' resident memory (`hardware.meters.node.host`)."""


@dataclass(kw_only=True, slots=True)
class Trace:
    """A trace by source."""

    series: list[Series]
    reasons: dict[str, str]
    """Meters that were not opened or were lost on the way, with the reason."""
    marks: dict[str, float]
    """Moments by name; the last one of each."""
    costs: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of each meter whose reading was measured: its period in seconds, and the share of a core that it takes (0..1)."""

    @classmethod
    def load(cls, path: Path, *, floor: Floor | None = None) -> Trace:
        """Read a trace and what lies beside it; an absent trace is an empty one.

        Args:
            path: of the trace.
            floor: least power of the run's devices; None where their data sheet is not known.

        Raises:
            ValueError: the file is no trace.
        """
        told = read_meters(path).get("meters", {})
        found: dict[tuple[str, str], Series] = {}
        reasons = {name: str(meter["reason"]) for name, meter in told.items() if meter.get("reason")}
        marks: dict[str, float] = {}
        last: TraceRow | None = None
        for row in iter_trace(path):
            if last is not None and other_boot(last, row):
                found, marks = {}, {}
            last = row
            if row.mark and not row.source:
                marks[row.mark] = row.monotonic_s
                if row.mark.startswith(LOST):
                    reasons[row.meter] = row.raw or "lost"
            if row.source and row.scope:
                period_s = told.get(row.meter, {}).get("period_s")
                key = (row.meter, row.source)
                if key not in found:
                    found[key] = Series(meter=row.meter, source=row.source, scope=row.scope, period_s=period_s)
                    found[key].floor = floor or Floor()
                found[key].add(row)
        order = list(told)
        by_order = sorted(found.values(), key=lambda one: order.index(one.meter) if one.meter in order else len(order))
        return cls(series=by_order, reasons=reasons, marks=marks, costs=costs_of(told))

    def energies(self, start_s: float, end_s: float, scope: Scope) -> dict[str, EnergyReading]:
        """Energy by source. Where several meters know a scope, the first that knows all its sources is taken alone.

        Raises:
            ValueError: the window does not end after its start.
        """
        return {one.source: reading for one, reading in self._energies(start_s, end_s, scope)}

    def total_energy(
        self, start_s: float, end_s: float, scope: Scope, *, least: int = 1, steady: bool = False
    ) -> EnergyReading:
        """Energy of all sources of a scope together; None as soon as one is unknown.

        Args:
            start_s: beginning of the window.
            end_s: end of it.
            scope: which sources.
            least: how many there must be: a device that no meter ever saw has no source that could be unknown.
            steady: whether power does not change in the window, as at rest.

        Raises:
            ValueError: the window does not end after its start.
        """
        pairs = self._energies(start_s, end_s, scope, least, steady=steady)
        if len(pairs) < max(1, least):
            reason = self._too_few(len(pairs), least, scope) if pairs else self.reason(scope)
            return nothing(start_s=start_s, end_s=end_s, scope=scope, reason=reason)
        steps = [
            hold_steps(clean(one.samples()), start_s=start_s, end_s=end_s, period_s=one.period_s) for one, _ in pairs
        ]
        return combine({one.source: reading for one, reading in pairs}, peak_w=peak_of_sum(steps))

    def device_energy(self, start_s: float, end_s: float, *, least: int = 1, steady: bool = False) -> EnergyReading:
        """Energy of the run's devices; where devices share a board's power sensor, of the whole boards.

        A board's energy stands for its devices only when all of them are the run's: half of a board's power is no
        device's power. Its scope says `board` then.

        Args:
            start_s: beginning of the window.
            end_s: end of it.
            least: how many devices the run has; with fewer in the trace their energy is not known.
            steady: whether power does not change in the window, as at rest.

        Raises:
            ValueError: the window does not end after its start.
        """
        boards = {one.board for one in self.series if one.scope == "device" and one.board}
        if not boards:
            return self.total_energy(start_s, end_s, "device", least=least, steady=steady)
        taken = [
            one for one in self.series if one.source in boards or (one.scope == "device" and one.board not in boards)
        ]
        missing = self._untold_boards(boards)
        seen = len({one.source for one in self.series if one.scope == "device"})
        missing += [self._too_few(seen, least, "device")] if seen < least else []
        if missing:
            return nothing(start_s=start_s, end_s=end_s, scope="board", reason="; ".join(missing))
        readings = {one.source: self._explained(one, one.energy(start_s, end_s, steady=steady)) for one in taken}
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

    def _energies(
        self, start_s: float, end_s: float, scope: Scope, least: int = 1, *, steady: bool = False
    ) -> list[tuple[Series, EnergyReading]]:
        by_meter: dict[str, list[tuple[Series, EnergyReading]]] = {}
        for one in self.series:
            if one.scope == scope and one.source != HOST_PROCESSES:
                reading = self._explained(one, one.energy(start_s, end_s, steady=steady))
                by_meter.setdefault(one.meter, []).append((one, reading))
        seen = (pairs for pairs in by_meter.values() if len(pairs) >= least)
        whole = (pairs for pairs in seen if all(reading.joules is not None for _, reading in pairs))
        return next(whole, next(iter(by_meter.values()), []))

    def _explained(self, one: Series, reading: EnergyReading) -> EnergyReading:
        """The reading, its reason completed by what the meter said."""
        said = [text for text in (self.reasons.get(one.meter), one.raw) if text]
        if reading.joules is not None or not said:
            return reading
        return replace(reading, reason=f"{reading.reason} ({'; '.join(said)})")

    def peak(self, name: str, start_s: float, end_s: float, scope: Scope = "device") -> Observed:
        """Highest `temperature_c` or `memory_used_bytes` that any one source of a scope told inside a window."""
        return self.peak_of(name, [(start_s, end_s)], scope)

    def peak_of(self, name: str, windows: Sequence[Window], scope: Scope = "device", *, least: int = 1) -> Observed:
        """The same over several windows, without what lies between them.

        None where a source that tells it at other times did not in these, or where fewer than `least` tell it: the
        highest of the others may not be the highest.
        """
        telling = [one for one in self._scoped(scope) if one.within(name, -inf, inf)]
        told = [one.within_all(name, windows) for one in telling]
        if not told:
            return Observed(value=None, reason=self._untold(name, scope))
        if (seen := len({one.source for one in telling})) < least:
            return Observed(value=None, reason=self._too_few(seen, least, scope))
        if not all(told):
            return self._unread(telling)
        return enough(max(map(max, told)), min(map(len, told)))

    def mean_utilisation(self, start_s: float, end_s: float, scope: Scope = "device") -> Observed:
        """Mean over time of each source's utilisation (0..1), then over the sources; None if one never told it."""
        return self.mean_utilisation_of([(start_s, end_s)], scope)

    def mean_utilisation_of(self, windows: Sequence[Window], scope: Scope = "device", *, least: int = 1) -> Observed:
        """The same over several windows, without what lies between them; None where fewer than `least` tell it."""
        sources = self._scoped(scope)
        told = [one.within_all("utilisation", windows) for one in sources]
        if not told or not all(one.within("utilisation", -inf, inf) for one in sources):
            return Observed(value=None, reason=self._untold("utilisation", scope))
        if (seen := len({one.source for one in sources})) < least:
            return Observed(value=None, reason=self._too_few(seen, least, scope))
        if not all(told):
            return self._unread(sources)
        means = [one.mean("utilisation", *windows) for one in sources]
        if any(map(isnan, means)):
            return Observed(value=None, reason=self._untold("utilisation", scope))
        return enough(fsum(means) / len(means), min(map(len, told)))

    def throttle_reasons(self, start_s: float, end_s: float) -> tuple[str, ...]:
        """Every reason any device was throttled for inside a window, sorted, as the vendor names them."""
        texts = (text for one in self.series for time_s, text in one.throttle if start_s <= time_s <= end_s)
        return tuple(sorted({reason for text in texts for reason in text.split("+") if throttles(reason)}))

    def tells_throttling(self) -> bool:
        """Whether any meter tells of throttling at all; without one, no reason says nothing."""
        return any(one.throttle_told_s for one in self.series)

    def throttling_untold(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Sources of which a meter told at other times whether they were throttled, and not in each of the windows."""
        telling = (one for one in self.series if one.throttle_told_s)
        return tuple(sorted({one.source for one in telling if not one.tells_throttling_in(windows)}))

    def throttling_unread(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Those of `throttling_untold` of which it was read at no moment in any of the windows."""
        untold = self.throttling_untold(windows)
        read = {one.source for one in self.series if one.throttle_told_s and one.throttling_reads(windows)}
        return tuple(source for source in untold if source not in read)

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
        whys = [why if why.startswith(name) else f"{name}: {why}" for name, why in self.reasons.items()]
        if not whys and not self.series:
            whys = ["no sampler wrote a trace"]
        return "; ".join([f"no meter read the {scope}", *whys])

    def _scoped(self, scope: Scope) -> list[Series]:
        """The sources of a scope, without the sums over processes."""
        return [one for one in self.series if one.scope == scope and one.source != HOST_PROCESSES]

    def _too_few(self, seen: int, least: int, scope: Scope) -> str:
        lost = "; ".join(f"{name}: {why}" for name, why in self.reasons.items())
        return f"{seen} of the run's {least} {scope}s were read" + (f" ({lost})" if lost else "")

    def _unread(self, sources: Sequence[Series]) -> Observed:
        """Of a figure that a source tells at other times, and at no moment of a window."""
        lost = sorted({f"{one.meter}: {self.reasons[one.meter]}" for one in sources if one.meter in self.reasons})
        return Observed(value=None, reason="; ".join([too_few(0), *lost]), n_samples=0)

    def _untold(self, name: str, scope: Scope) -> str:
        sources = self._scoped(scope)
        raw = next((one.raw for one in sources if one.raw), None)
        told = f"{name} was not told by every {scope}" + (f" ({raw})" if raw else "")
        return told if sources else self.reason(scope)
