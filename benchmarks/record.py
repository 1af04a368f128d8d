"""What the benchmarks share: statistics of pairs, versions, and the file a result is kept in."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from hardware.stacks.host import cpu_name

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "pytorch-lightning", "touchstone")


OTHERS_MOST = 0.05
ATTEMPTS = 4
Measure = Callable[[], dict[str, Any]]
"""Measures one side once; tells under `others` what share of the machine others took, where that is known."""


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, least and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def interleaved(pairs: int, sides: Sequence[str]) -> Iterator[tuple[int, str]]:
    """(pair, side) in the order A B, B A, A B …: what drifts hits both alike."""
    for pair in range(pairs):
        yield from ((pair, side) for side in (sides if pair % 2 == 0 else sides[::-1]))


def take_turns(pairs: int, measure: Mapping[str, Measure], *, shown: str) -> list[dict[str, dict[str, Any]]]:
    """Measure two sides by turns; one dictionary of both sides per pair. Prints each measurement's value `shown`."""
    done: list[dict[str, dict[str, Any]]] = [{} for _ in range(pairs)]
    for number, side in interleaved(pairs, list(measure)):
        done[number][side] = undisturbed(measure[side])
        print(f"  pair {number + 1} {side:<6} {shown} {done[number][side][shown]:.2f}", flush=True)
    return done


def undisturbed(measure: Measure) -> dict[str, Any]:
    """Measure when the machine is quiet, and again where others disturbed it all the same; the last attempt counts.

    Whether it was disturbed is judged by `others` alone, the share of the machine that others took: never by the
    result. Each dropped attempt's share is kept.
    """
    dropped: list[float] = []
    while True:
        busy = settle()
        measured = measure()
        others = measured.get("others")
        if others is None or others <= OTHERS_MOST or len(dropped) == ATTEMPTS - 1:
            return measured | {"busy_before": busy, "dropped_others": dropped}
        dropped.append(others)


def settle(*, busy: float = 0.05, longest_s: float = 60.0) -> float:
    """Sleep until others use less than `busy` of the machine's processors, at most `longest_s`; returns that share."""
    deadline_s = time.monotonic() + longest_s
    while True:
        share = psutil.cpu_percent(interval=1.0) / 100
        if share < busy or time.monotonic() >= deadline_s:
            return share


def goal(limit: float, at: str, value: float) -> dict[str, Any]:
    """The goal, `at_least` or `at_most` `limit`, and whether `value` meets it."""
    met = value >= limit if at == "at_least" else value <= limit
    return {at: limit, "value": value, "met": met}


def host() -> dict[str, Any]:
    """What the figures were measured on. Names neither the machine nor a path on it."""
    return {
        "cpu": cpu_name(),
        "cores": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


class Record:
    """One benchmark's result, from its start on."""

    def __init__(self, name: str, *, folder: Path = RESULTS) -> None:
        self.name, self.folder = name, folder
        self._load = os.getloadavg()[0]

    def file(self, content: dict[str, Any]) -> Path:
        """Write `<name>_<date>.json`; a result of the same day is replaced."""
        date = datetime.now(UTC).strftime("%Y-%m-%d")
        head = {"benchmark": self.name, "date": date, "host": host(), "load_before": self._load}
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{self.name}_{date}.json"
        path.write_text(json.dumps(head | content, indent=1) + "\n")
        return path
