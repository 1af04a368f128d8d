"""Clocks of the devices inside the window, and how the devices are set: without them a speed cannot be judged."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from math import fsum
from typing import Any

from hardware.energy.window_energy import FEW_SAMPLES
from hardware.sampling.trace import Trace
from runner.core.events import Name
from runner.record.run_record import RunRecord, spans_of
from runner.record.values import Missing, Value, Values

CLOCK_NAMES = ("clock/min_mhz", "clock/median_mhz", "clock/max_mhz")
LIMITS: dict[str, tuple[str, Callable[[Iterable[float]], float]]] = {
    "power/cap_w": ("power_limit_w", fsum),
    "clock/limit_mhz": ("max_clock_mhz", min),
}
"""Figure to the setting it is made of, and how those of several devices become one."""


def clocks(run_record: RunRecord) -> tuple[Values, list[str]]:
    """`clock/*` over the readings of all devices, `power/cap_w`, and what a reader must know about them."""
    nodes = run_record.by_node()
    values, notes = _measured(nodes)
    devices = [told for node in nodes for told in _own_devices(node)]
    title = run_record.case.vendor.title
    return values | {name: _limit(devices, key, join, title) for name, (key, join) in LIMITS.items()}, notes


def _measured(nodes: Sequence[RunRecord]) -> tuple[Values, list[str]]:
    found: list[float] = []
    fewest = FEW_SAMPLES
    for number, node in enumerate(nodes):
        told = _of_node(node)
        if isinstance(told, Missing):
            reason = told if len(nodes) == 1 else Missing(f"on node {number}: {told.reason}")
            return dict.fromkeys(CLOCK_NAMES, reason), []
        found += [clock for source in told for clock in source]
        fewest = min(fewest, *map(len, told))
    values = dict(zip(CLOCK_NAMES, (min(found), statistics.median(found), max(found)), strict=True))
    few = [f"few_samples: clock/* stands on {fewest} readings of the meter."] if fewest < FEW_SAMPLES else []
    return dict(values), few


def _of_node(run_record: RunRecord) -> list[list[float]] | Missing:
    """The readings inside the segments by source; Missing where those of one device are not known, or too few."""
    if run_record.case.vendor.on_host:
        return Missing("clocks of the host's own processor are not read")
    windows = [(span.start_s, span.end_s) for span in spans_of(run_record)]
    if not windows:
        return Missing("no window was completed")
    devices = run_record.case.topology.devices
    assert isinstance(devices, int)
    trace = Trace.load(run_record.trace)
    highest = trace.peak_of("clock_mhz", windows, least=devices)
    if highest.value is None:
        return Missing(highest.reason or "no clock was read")
    told = (one.within_all("clock_mhz", windows) for one in trace.series if one.scope == "device")
    return [readings for readings in told if readings]


def _own_devices(run_record: RunRecord) -> list[dict[str, Any]]:
    """The devices of a node's ranks; an empty one where the node told none."""
    return (run_record.last(Name.ENVIRONMENT) or {}).get("devices") or [{}]


def _limit(devices: Sequence[dict[str, Any]], key: str, join: Callable[[Iterable[float]], float], title: str) -> Value:
    """A limit of all devices together; Missing as soon as one of them does not tell it."""
    limits: list[float] = []
    for device in devices:
        if "settings" not in device:
            return Missing("the run did not tell how its devices are set")
        settings = device["settings"]
        if settings is None:
            return Missing(f"nothing is asked how a device of {title} is set")
        if settings[key] is None:
            return Missing(settings["reasons"][key])
        limits.append(settings[key])
    return join(limits)
