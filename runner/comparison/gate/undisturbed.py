"""The fastest tenth of a window: how long a step, or a request, takes while nobody disturbs it.

Others on a host make steps longer, never shorter. The mean over a window takes all of that in; its fastest tenth is
what the device and the software need by themselves, and so shows a loss of a few percent where the mean cannot. What it
cannot show is a loss that only some steps have: waiting for data, pauses.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from runner.record.definition import Definition, define
from runner.record.step_rows import read_rows
from runner.results.repeats import repeat_folders
from runner.serving.load.requests import read_requests

STEP = define("step/fastest_tenth_ms", "Step time, fastest tenth", "ms", "lower", same_batch=True)
REQUEST = define("infer/latency_fastest_tenth_ms", "Latency, fastest tenth", "ms", "lower", same_batch=True)
DEFINITIONS: dict[str, Definition] = {one.name: one for one in (STEP, REQUEST)}
"""Figures of comparisons alone: no report has them."""
FEWEST = 20
"""Steps of a window below which a tenth is no more than chance."""
_SHARE = 10

Undisturbed = dict[str, tuple[float, ...]]
"""Figure → what each fresh process had, in milliseconds; without those whose windows were too short."""


def undisturbed(folder: Path) -> Undisturbed:
    """What a run folder tells; empty where it has no steps and no requests, or some window is too short."""
    parts = repeat_folders(folder) or [folder]
    found = {STEP.name: [_steps_s(part) for part in parts], REQUEST.name: [_requests_s(part) for part in parts]}
    tenths = {name: [fastest_tenth(seconds) for seconds in windows] for name, windows in found.items()}
    return {
        name: tuple(1e3 * value for value in values if value is not None)
        for name, values in tenths.items()
        if values and None not in values
    }


def fastest_tenth(seconds: list[float]) -> float | None:
    """Mean of the fastest tenth; None of fewer than FEWEST."""
    if len(seconds) < FEWEST:
        return None
    return statistics.fmean(sorted(seconds)[: len(seconds) // _SHARE])


def _steps_s(part: Path) -> list[float]:
    """Steps of the window of the first rank, by the device's events."""
    rows = [row for row in read_rows(part / "steps.csv") if row["phase"] == "window" and row["rank"] == "0"]
    return [float(row["seconds"]) for row in rows if row["seconds"]]


def _requests_s(part: Path) -> list[float]:
    return [one.ended_s - one.begun_s for one in read_requests(part)]
