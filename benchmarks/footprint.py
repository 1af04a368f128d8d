"""What runs beside a measurement: the share of a core that the sampler and the parent take during the window.

    python -m benchmarks.footprint [--windows 3] [--model resnet50] [--window-s 30]

Processor time of exactly these two processes between the window's first event and its last.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine import scratch, start, wait_for
from benchmarks.record import RESULTS, Record, goal, settle, summary
from hardware.detect import detect_vendor
from runner.core.events import Name

SAMPLER_MOST, PARENT_MOST = 0.01, 0.05


@dataclass(kw_only=True, slots=True, frozen=True)
class FootprintReading:
    """Processor seconds of each process, at a moment."""

    at_s: float
    cpu_s: dict[str, float]


def shares(begin: FootprintReading, end: FootprintReading) -> dict[str, float]:
    """Share of a core that each process took between two readings."""
    seconds = end.at_s - begin.at_s
    return {name: (end.cpu_s[name] - used_s) / seconds for name, used_s in begin.cpu_s.items()}


def read_cpu(processes: dict[str, psutil.Process]) -> FootprintReading:
    """Processor time so far, that of ended children included: a sampler may call vendors' tools."""
    used = {name: process.cpu_times() for name, process in processes.items() if name == "sampler"}
    cpu_s = {name: t.user + t.system + t.children_user + t.children_system for name, t in used.items()}
    parent = processes["parent"].cpu_times()  # its ended children are other processes of the run, not its own work
    return FootprintReading(at_s=time.monotonic(), cpu_s=cpu_s | {"parent": parent.user + parent.system})


def find_processes(parent: psutil.Process) -> dict[str, psutil.Process]:
    """The runner and its sampler."""
    (sampler,) = [child for child in parent.children() if "hardware.sampling.sampler" in child.cmdline()]
    return {"parent": parent, "sampler": sampler}


def measure_window(arguments: list[str], root: Path) -> dict[str, float]:
    """One run, in an empty root: the shares during its window."""
    process = start("runner", *arguments, f"run.root={root}")
    wait_for(root, Name.SEGMENT_BEGIN, process)
    processes = find_processes(psutil.Process(process.pid))
    begin = read_cpu(processes)
    wait_for(root, Name.SEGMENT_END, process)
    end = read_cpu(processes)
    process.communicate()
    return {"window_s": end.at_s - begin.at_s, **shares(begin, end)}


def main() -> None:
    """Measure and file the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.footprint", description=__doc__)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--window-s", type=float, default=30.0)
    parser.add_argument("--vendor", default=detect_vendor())
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    arguments = ["task=train", "data=synthetic", "scale=tiny", f"model={options.model}", f"vendor={options.vendor}"]
    arguments += [f"measure.window.min_s={options.window_s}", f"measure.window.max_s={10 * options.window_s}"]
    record = Record("footprint", folder=options.out)
    windows: list[dict[str, float]] = []
    with scratch() as root:
        for number in range(options.windows):
            windows.append({"busy_before": settle(), **measure_window(arguments, root / str(number))})
            told = {name: f"{windows[-1][name]:.2%}" for name in ("sampler", "parent")}
            print(f"window {number + 1} of {windows[-1]['window_s']:.1f} s: {told}", flush=True)
    found = {name: summary([window[name] for window in windows]) for name in ("sampler", "parent")}
    limits = {"sampler": SAMPLER_MOST, "parent": PARENT_MOST}
    goals = {name: goal(limit, "at_most", found[name]["median"]) for name, limit in limits.items()}
    content: dict[str, Any] = {"windows": windows, "share_of_a_core": found, "goal": goals}
    print(record.file(content).name)


if __name__ == "__main__":
    main()
