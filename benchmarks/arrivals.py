"""What the harness of inference costs: an empty system under each load, and how far a server's requests come too late.

    python -m benchmarks.arrivals [--requests 20000] [--rate 1000]

An answer that takes no time leaves the harness alone. LoadGen is asked in the same way, as the yardstick: its Python
bindings call back for every query, as ours do.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import RESULTS, Record, goal, settle, summary
from runner.core.load import Load
from runner.serving.load.arrival import ARRIVALS, Arrival
from runner.serving.load.mlperf import Mlperf
from runner.serving.load.requests import Request
from runner.serving.load.system import System

MOST_US = 50.0
"""Per request of a closed loop: half a per cent of an answer that takes 10 ms."""
TRIES = 5


class EmptySystem(System):
    """Answers at once."""

    samples = 1

    def answer(self, number: int, arrived_s: float | None = None) -> Request:
        """Two stamps and nothing between them."""
        begun_s = time.monotonic()
        due_s = begun_s if arrived_s is None else arrived_s
        return Request(number=number, arrived_s=due_s, begun_s=begun_s, ended_s=time.monotonic(), samples=1)


def arrival(name: str, folder: Path, **options: Any) -> Arrival:
    """A load over an empty system."""
    load = Load(name=name, **options)  # type: ignore[arg-type]
    made: Arrival = ARRIVALS.find(name)(load, EmptySystem(), seed=1, folder=folder)
    return made


def cost_us(send: Callable[[int, int], list[Request]], requests: int) -> dict[str, float]:
    """Microseconds of the harness per request, over several tries."""
    taken = []
    for _ in range(TRIES):
        began_s = time.perf_counter()
        done = send(requests, 0)
        taken.append(1e6 * (time.perf_counter() - began_s) / len(done))
    return summary(taken)


def lateness_us(requests: list[Request]) -> dict[str, float]:
    """How long after a request was due the system was asked, in microseconds: what the open loop adds to a latency."""
    late = 1e6 * np.array([one.begun_s - one.arrived_s for one in requests])
    return {f"p{share}": float(np.percentile(late, share)) for share in (50, 90, 99)}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Every load once."""
    found: dict[str, Any] = {}
    for name, extra in (("offline", {}), ("single_stream", {}), ("clients", {"clients": 4})):
        found[f"{name}_us_per_request"] = cost_us(arrival(name, folder, **extra).send, options.requests)
    server = arrival("server", folder, rate=float(options.rate))
    sent = server.send(options.requests // 10, 0)
    spread_s = sent[-1].arrived_s - sent[0].arrived_s
    found["server"] = {
        "asked_per_second": options.rate,
        "offered_per_second": (len(sent) - 1) / spread_s,
        "lateness_us": lateness_us(sent),
    }
    referee = arrival("mlperf", folder, scenario="SingleStream")
    assert isinstance(referee, Mlperf)
    referee.request_s(1e-6)
    found["mlperf_us_per_request"] = cost_us(referee.measure, options.requests)
    return found


def main(argv: list[str] | None = None) -> int:
    """Measure and file; returns 0."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.arrivals", description=__doc__)
    made.add_argument("--requests", type=int, default=20_000)
    made.add_argument("--rate", type=int, default=1000)
    made.add_argument("--out", type=Path, default=RESULTS)
    options = made.parse_args(argv)
    record = Record("arrivals", folder=options.out)
    busy = settle()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    worst = max(found[f"{name}_us_per_request"]["median"] for name in ("offline", "single_stream", "clients"))
    goals = {"us_per_request": goal(MOST_US, "at_most", worst)}
    print(record.file({"busy_before": busy, "goals": goals} | found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
