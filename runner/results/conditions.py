"""Under which conditions a run was measured: the plain facts that the rules of publication look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hardware.energy.window_energy import over_window
from hardware.sampling.series import Window
from hardware.sampling.trace import Trace
from runner.config.schema import Case
from runner.core.events import Name
from runner.record.run_record import RunRecord, spans_of
from runner.record.values import Missing, Value, Values
from runner.results.compute import beyond_peak
from runner.results.host import OTHERS
from runner.results.power import device_energy, load_trace, throttled_by, windows_of
from runner.results.speed import slowest_over_fastest


def asked_of(case: Case) -> dict[str, Any]:
    """What the case asks of a measurement that shall be published."""
    return {
        "vendor": case.vendor.title,
        "publishable": case.measure.publishable,
        "repeats": case.measure.repeats,
        "tolerance": case.measure.warmup.tolerance,
        "min_s": case.measure.window.min_s,
        "min_steps": case.measure.window.min_steps,
        "precision": asdict(case.precision),
        "weights": None if case.model is None else case.model.weights,
        "initial_weights": None if case.model is None else case.model.initial_weights,
    }


def conditions(run_record: RunRecord, values: Values) -> dict[str, Any]:
    """Of one fresh process: what was noted while it measured; null is what nobody knows.

    Args:
        run_record: what it told.
        values: its figures.
    """
    parts = [(node, load_trace(node), spans_of(node)) for node in run_record.by_node()]
    energies = [device_energy(node, trace, span.start_s, span.end_s) for node, trace, spans in parts for span in spans]
    watched = [(trace, windows_of(spans)) for _, trace, spans in parts]
    others = values.get(OTHERS, Missing("nothing was measured"))
    return {
        "steady": _plain(values.get("run/steady", Missing(""))),
        "steady_reason": _steady_reason(run_record),
        "window_s": _plain(values.get("run/window_s", Missing(""))),
        "window_steps": len(run_record.steps("window")),
        "unevenness": slowest_over_fastest(run_record),
        "others": _plain(others),
        "others_reason": others.reason if isinstance(others, Missing) else None,
        "power_coverage": min((energy.coverage for energy in energies), default=None),
        "power_flags": sorted({flag for energy in energies for flag in energy.flags}),
        "energy_uncertainty": over_window(energies).uncertainty if energies else None,
        "meters": _meters([trace for trace, _ in watched]),
        "throttling": _throttling(watched),
        "throttling_untold": sorted({name for trace, windows in watched for name in trace.throttling_untold(windows)}),
        "throttling_unread": sorted({name for trace, windows in watched for name in trace.throttling_unread(windows)}),
        "precision": run_record.last(Name.PRECISION),
        "beyond_peak": beyond_peak(values),
    }


def _meters(traces: Sequence[Trace]) -> dict[str, dict[str, float]]:
    """Of each meter its period, and the share of a core that reading took; of several machines where it took most."""
    told = sorted((share, name, period_s) for trace in traces for name, (period_s, share) in trace.costs.items())
    return {name: {"period_s": period_s, "share_of_core": share} for share, name, period_s in told}


def _plain(value: Value) -> float | None:
    return None if isinstance(value, Missing) else value


def _steady_reason(run_record: RunRecord) -> str | None:
    """Why warm-up ended without being steady, in whichever part of the run it did."""
    ends = [event.value for event in run_record.all(Name.WARMUP_END)]
    return next((str(end["reason"]) for end in ends if not end["steady"]), None)


def _throttling(watched: Sequence[tuple[Trace, Sequence[Window]]]) -> list[str] | None:
    """The reasons that were given inside the windows of any node; null where a node's meters tell of none."""
    if not all(windows for _, windows in watched):
        return None
    found = sorted({reason for trace, windows in watched for reason in throttled_by(trace, windows)})
    return found if found or all(trace.tells_throttling() for trace, _ in watched) else None
