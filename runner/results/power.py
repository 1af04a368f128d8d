"""Energy, power and memory of a run, from its power trace and its ranks' allocators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hardware.energy.energy import UNCERTAIN, EnergyReading
from hardware.energy.plausible import Floor
from hardware.energy.window_energy import FEW_SAMPLES, over_window
from hardware.meters.base import Scope
from hardware.sampling.series import Window
from hardware.sampling.station import LEAST_READINGS
from hardware.sampling.trace import Observed, Trace
from runner.core.events import Name
from runner.record.run_record import RunRecord, Span, spans_of
from runner.record.values import GIB, Missing, Value, Values, divide, known, observed
from runner.results.compute import chip_of
from runner.results.host import HOST_NAMES, host
from runner.results.job.machines import counted_once
from runner.results.job.nodes import of_node, over_nodes

WINDOW_NAMES = (
    *("energy/device_j", "energy/per_sample_j", "energy/samples_per_j", "energy/node_j"),
    *("power/device_mean_w", "power/device_peak_w", "power/node_mean_w"),
    *("device/temperature_max_c", "device/utilisation_mean"),
    *HOST_NAMES,
)
"""Figures that only a window has."""
DEAR = 0.01
"""Share of all cores from which reading a meter is a warning."""
SLOWED = 1.05
"""Times the longest period that was asked for, or gives a window its readings: beyond it the meter was too slow."""
SAID = {
    "counter_gap": "Energy is that of sampled power: the counter was not read at the edges of the window.",
    "counter_reset": "Energy is that of sampled power: the counter was reset in the window, or counts something else.",
    "counter_stuck": "Energy is that of sampled power: the counter did not move.",
    "counter_disagrees": "Energy is that of sampled power: the counter is too far from it to be believed.",
    "counter_unchecked": "Energy is the counter's, and could not be checked against sampled power.",
    "low_coverage": "Energy is partly an assumption: power is not known for all of the window.",
}
"""What flags of an energy mean."""


def power(run_record: RunRecord) -> tuple[Values, list[str]]:
    """`energy/*`, `power/*`, `device/*` and `host/*` over all nodes, with what a reader must know about them."""
    parts = [_of_node(node) for node in run_record.by_node()]
    samples = sum(span.samples for span in spans_of(run_record))
    notes = [note for number, (_, told) in enumerate(parts) for note in of_node(number, told, len(parts))]
    return counted_once(run_record, over_nodes([values for values, _ in parts], samples)), notes


def _of_node(run_record: RunRecord) -> tuple[Values, list[str]]:
    """Of the ranks and the meters of one machine."""
    trace = load_trace(run_record)
    spans = spans_of(run_record)
    if not spans:
        return dict.fromkeys(WINDOW_NAMES, Missing("no window was completed")) | _idle(run_record, trace), []
    scope = _device_scope(run_record)
    readings = [device_energy(run_record, trace, span.start_s, span.end_s) for span in spans]
    window = over_window(readings)
    values = _device(window, sum(span.samples for span in spans)) | _idle(run_record, trace)
    values |= _node(over_window([trace.total_energy(span.start_s, span.end_s, "node") for span in spans]))
    windows = windows_of(spans)
    told = {
        "device/temperature_max_c": trace.peak_of("temperature_c", windows, scope, least=_sources(run_record)),
        "device/utilisation_mean": trace.mean_utilisation_of(windows, scope, least=_sources(run_record)),
    }
    values |= {name: observed(one) for name, one in told.items()} | host(trace, spans)
    notes = _notes(window, throttled_by(trace, windows))
    return values, [*notes, *_few(told), *_dear(trace, run_record), *_late(trace, run_record)]


def windows_of(spans: Sequence[Span]) -> list[Window]:
    """The measured segments, without the evaluations and the rest between them."""
    return [(span.start_s, span.end_s) for span in spans]


def throttled_by(trace: Trace, windows: Sequence[Window]) -> tuple[str, ...]:
    """Why the device was throttled in any of the windows, sorted."""
    return tuple(sorted({reason for start_s, end_s in windows for reason in trace.throttle_reasons(start_s, end_s)}))


def load_trace(run_record: RunRecord) -> Trace:
    """The run's power trace, held to what its chip draws at the least."""
    entry = None if run_record.case.vendor.on_host else chip_of(run_record).entry
    return Trace.load(run_record.trace, floor=Floor.of(entry.tdp_w if entry else None))


def _device_scope(run_record: RunRecord) -> Scope:
    """What counts as the device: on the host's own processor, its packages."""
    return "package" if run_record.case.vendor.on_host else "device"


def device_energy(
    run_record: RunRecord, trace: Trace, start_s: float, end_s: float, *, steady: bool = False
) -> EnergyReading:
    """Of what counts as the device; of whole boards where devices share a sensor. `steady`: power does not change."""
    scope = _device_scope(run_record)
    if scope == "device":
        return trace.device_energy(start_s, end_s, least=_sources(run_record), steady=steady)
    return trace.total_energy(start_s, end_s, scope, steady=steady)


def _sources(run_record: RunRecord) -> int:
    """How many sources of the device's scope the run has at the least: one for each of its devices."""
    devices = run_record.case.topology.devices
    assert isinstance(devices, int)
    return devices if _device_scope(run_record) == "device" else 1


def _device(window: EnergyReading, samples: int) -> Values:
    joules = _joules(window)
    unknown = joules if isinstance(joules, Missing) else Missing("power was not sampled, or too seldom for a peak")
    return {
        "energy/device_j": joules,
        "energy/per_sample_j": divide(joules, samples),
        "energy/samples_per_j": divide(samples, joules),
        "power/device_mean_w": divide(joules, window.seconds),
        "power/device_peak_w": unknown if window.peak_w is None else window.peak_w,
    }


def _node(window: EnergyReading) -> Values:
    joules = _joules(window)
    return {"energy/node_j": joules, "power/node_mean_w": divide(joules, window.seconds)}


def _idle(run_record: RunRecord, trace: Trace) -> Values:
    scope = _device_scope(run_record)
    begin, end = trace.marks.get("idle_begin"), trace.marks.get("idle_end")
    if begin is None or end is None or end <= begin:
        return {"power/device_idle_w": Missing(trace.reason(scope))}
    reading = over_window([device_energy(run_record, trace, begin, end, steady=True)])
    return {"power/device_idle_w": known(reading.mean_w, reading.reason or "idle power was not read")}


def energy_to_target(run_record: RunRecord, trace: Trace) -> Values:
    """`convergence/energy_j_to_target`, over one uninterrupted part.

    The energy of an earlier, killed part is not known to its end.
    """
    name = "convergence/energy_j_to_target"
    reached = next((event for event in run_record.all(Name.EVALUATE) if event.value["reached"]), None)
    begin = run_record.all(Name.TRAIN_START)
    if reached is None:
        return {name: Missing("the target was not reached")}
    if len(begin) > 1:
        return {name: Missing("the run was resumed, and the energy of its killed part is not known to its end")}
    return {name: _joules(over_window([device_energy(run_record, trace, begin[0].monotonic_s, reached.monotonic_s)]))}


def energy_to_target_of_all(run_record: RunRecord) -> Values:
    """The same over all nodes."""
    parts = [energy_to_target(node, load_trace(node)) for node in run_record.by_node()]
    return counted_once(run_record, over_nodes(parts, 0))


def memory(run_record: RunRecord, windows: Sequence[Window] = ((0.0, float("inf")),)) -> Values:
    """`memory/*`: the highest of the ranks' allocator peaks, the meter's, and the host's with the most.

    Args:
        run_record: what the run told.
        windows: where the meters' peaks are looked for; the whole run, unless only a part of it counts.
    """
    parts = [_memory_of_node(node, windows) for node in run_record.by_node()]
    return over_nodes(parts, 0)


def _memory_of_node(run_record: RunRecord, windows: Sequence[Window]) -> Values:
    told = [event.value for rank in run_record.ranks for event in rank if event.name == Name.MEMORY]
    trace = Trace.load(run_record.trace)
    values: Values = {}
    for key, figure in (("allocated_bytes", "allocated"), ("reserved_bytes", "reserved")):
        peaks = [value[key] for value in told if value[key] is not None]
        reason = next((value["reason"] for value in told if value["reason"]), "training did not come to its end")
        # The highest of some ranks may not be the highest of all.
        values[f"memory/device_peak_{figure}_gib"] = (
            max(peaks) / GIB if peaks and len(peaks) == len(run_record.ranks) else Missing(reason)
        )
    used = trace.peak_of("memory_used_bytes", list(windows), "device", least=_sources(run_record))
    ahead = next((reason for value in told if (reason := value.get("taken_ahead"))), None)
    values["memory/device_peak_used_gib"] = Missing(ahead) if ahead else divide(observed(used), GIB)
    held = [observed(trace.peak_rss(start_s, end_s)) for start_s, end_s in windows]
    peaks = [one for one in held if not isinstance(one, Missing)]
    # A segment may be shorter than the time between two readings; another one is not.
    unread = held[0] if held else Missing("no window was completed")
    peak: Value = max(peaks) if peaks else unread
    values["memory/host_peak_rss_gib"] = divide(peak, GIB)
    return values


def _notes(window: EnergyReading, throttle: tuple[str, ...]) -> list[str]:
    told = window.joules is not None
    notes = _uncertainty(window) if told else []
    if told and window.scope == "board":
        notes.append("Energy and power are of whole boards: their devices share a power sensor.")
    return notes + ([f"The device was throttled: {', '.join(throttle)}."] if throttle else [])


def _uncertainty(window: EnergyReading) -> list[str]:
    """What a reader must know of an energy, in words."""
    notes = []
    flags = set(window.flags)
    if (share := window.uncertainty) is not None and share > UNCERTAIN:
        flags.discard("counter_unchecked")
        notes.append(
            f"Energy may be off by {share:.0%}: its counter is renewed every {window.renewed_s:.2g} s in a window of "
            f"{window.seconds:.3g} s, where comparing it with sampled power tells nothing."
        )
    notes += [text for flag, text in SAID.items() if flag in flags]
    if "few_samples" in window.flags:
        notes.append(f"few_samples: energy/device_j stands on {window.n_samples} readings of the meter.")
    if "short_window" in window.flags:
        notes.append(
            f"Energy may be off by more than {UNCERTAIN:.0%}: it is the sum of {window.n_samples} readings of the "
            f"power in {window.seconds:.3g} s."
        )
    return notes


def _few(told: Mapping[str, Observed]) -> list[str]:
    """Figures that stand on few readings."""
    few = {
        name: one.n_samples
        for name, one in told.items()
        if one.value is not None and one.n_samples is not None and one.n_samples < FEW_SAMPLES
    }
    return [f"few_samples: {name} stands on {count} readings of the meter." for name, count in few.items()]


def _dear(trace: Trace, run_record: RunRecord) -> list[str]:
    """Meters that take a noteworthy part of the host, for a window needs so many readings."""
    host = (run_record.last(Name.ENVIRONMENT) or {}).get("host") or {}
    cores = host.get("cores_usable") or 1
    return [
        f"Reading {name} every {period_s:.3g} s took {share:.0%} of a core, {share / cores:.1%} of all cores."
        for name, (period_s, share) in sorted(trace.costs.items())
        if share / cores > DEAR
    ]


def _late(trace: Trace, run_record: RunRecord) -> list[str]:
    """Meters of power that cannot be read as often as a window needs."""
    measure = run_record.case.measure
    most_s = max(measure.sampling_period_s, measure.window.min_s / LEAST_READINGS)
    return [
        f"{name} was read only every {period_s:.3g} s, where the window asks for every {most_s:.3g} s."
        for name, (period_s, _) in sorted(trace.costs.items())
        if name != "host" and period_s > SLOWED * most_s
    ]


def _joules(reading: EnergyReading) -> Value:
    return known(reading.joules, reading.reason or "not measured")
