"""What two ranks cost beside one on this machine, and what the engine adds to data parallel training.

    python -m benchmarks.scaling [--pairs 4] [--models bert] [--window-s 8] [--threads 1]

Two comparisons, each of pairs of programs that are alive at once and take turns (`turns.py`), each rank with as many
threads as the other side's:

- *two over one*: the engine on two ranks and on one, the same batch on each rank. Steps per second of the first over
  those of the second are the weak scaling efficiency: what two ranks lose to each other, to memory that both read, and
  to what they send. It holds for this machine's processors alone.
- *engine over bare*: the engine on two ranks, and a loop of plain PyTorch with `DistributedDataParallel` as torchrun
  starts it. What is below 1 is the engine's.

That the engine waits for nothing in a step of several ranks is counted by a test, not timed here
(tests/unit/runner/frameworks/lightning/test_slow_rank.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bare import WINDOW_BEGINS
from benchmarks.engine import (
    HOST_VENDOR,
    compose_case,
    figure,
    finish,
    folders,
    plan_of,
    report,
    scratch,
    start,
    wait_for,
    wait_for_line,
)
from benchmarks.overhead import SPARE, STEPS_PER_TURN, TURN_S, WARMUP_STEPS, measure_engine, step_ends_s
from benchmarks.overhead import overrides as overrides_of_one
from benchmarks.record import RESULTS, Record, goal, settle, summary
from benchmarks.turns import ended_with, go_on, middle, ratios, run_in_turns, stop
from runner.core.events import Name

RANKS = 2
LEAST_RATIO = 0.98
"""Of the engine over the bare loop, as for a single rank."""
FIGURES = ("communication/bytes_per_step", "communication/wait_fraction", "ranks/slowest_to_median")
"""Of the engine's two ranks, beside the ratios."""

Side = tuple[Callable[[Path], subprocess.Popen[str]], Callable[[subprocess.Popen[str], Path], dict[str, Any]]]
"""Starts a program, leaving it stopped within its window; and ends it: when its steps ended, and what it told."""


def engine_side(arguments: Sequence[str]) -> Side:
    """The engine through its command line."""

    def begin(root: Path) -> subprocess.Popen[str]:
        process = start("runner", *arguments, f"run.root={root}")
        wait_for(root, Name.SEGMENT_BEGIN, process)
        return process

    def end(process: subprocess.Popen[str], root: Path) -> dict[str, Any]:
        finish(process)
        (folder,) = folders(root)
        told = report(folder)
        figures = {name: told["figures"][name]["value"] for name in FIGURES}
        threads = told["environment"]["threads_per_rank"]
        return {"ends_s": step_ends_s(folder), "threads": threads, "figures": figures}

    return begin, end


def bare_side(plan: Path) -> Side:
    """The bare loop on two ranks of torchrun."""
    module = ("torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS), "-m", "benchmarks.bare")

    def begin(root: Path) -> subprocess.Popen[str]:
        process = start(*module, str(plan), "speed")
        wait_for_line(WINDOW_BEGINS, process)
        return process

    def end(process: subprocess.Popen[str], root: Path) -> dict[str, Any]:
        told = json.loads(finish(process).splitlines()[-1])
        return {"ends_s": told["ends_s"], "threads": told["threads"]}

    return begin, end


def measure_pair(
    sides: Mapping[str, Side], root: Path, *, over: str, window_s: float, turn_s: float, first: str
) -> dict[str, Any]:
    """Both sides by turns: the ratio of their steps per second, the median over neighbouring turns.

    Raises:
        SystemExit: the two sides did not use equally many threads in a rank.
    """
    busy = settle(longest_s=10.0)
    processes: dict[str, subprocess.Popen[str]] = {}
    with ended_with(processes):
        for side in sorted(sides, key=lambda name: name != first):
            processes[side] = sides[side][0](root / side)
            stop(processes[side])
        turns = run_in_turns(processes, pairs=max(1, round(window_s / turn_s)), turn_s=turn_s)
        told = {}
        for side, process in processes.items():
            go_on(process)
            told[side] = sides[side][1](process, root / side)
    if len({one["threads"] for one in told.values()}) != 1:
        raise SystemExit(f"Unequal thread counts: { {side: one['threads'] for side, one in told.items()} }")
    each = ratios(turns, {side: one["ends_s"] for side, one in told.items()}, over=over)
    counted = {side: _without_steps(one) for side, one in told.items()}
    return {"ratio": middle(each), "busy_before": busy, "started_first": first, "turns": each, **counted}


def _without_steps(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "ends_s"} | {"steps": len(told["ends_s"])}


def measure_pairs(
    sides: Mapping[str, Side], root: Path, options: argparse.Namespace, *, over: str, turn_s: float
) -> dict[str, Any]:
    """All pairs of one comparison; each side is started first in every other pair."""
    names, pairs = list(sides), []
    for number in range(options.pairs):
        folder = root / str(number)
        first = names[number % 2]
        pairs.append(measure_pair(sides, folder, over=over, window_s=options.window_s, turn_s=turn_s, first=first))
        print(f"  pair {number + 1}: {' / '.join(_in_order(names, over))} = {pairs[-1]['ratio']:.4f}", flush=True)
    return {"pairs": pairs, "ratio": summary([pair["ratio"] for pair in pairs])}


def _in_order(names: Sequence[str], over: str) -> list[str]:
    return sorted(names, key=lambda name: name == over)


def measure_model(model: str, options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Both comparisons of one model."""
    one = overrides_of_one(model, options)
    two = [*one, "topology=node", f"topology.devices={RANKS}"]
    window_s = options.window_s * SPARE
    plan = root / f"{model}.json"
    plan_of(compose_case(*two), warmup_steps=WARMUP_STEPS, window_s=window_s).save(plan)
    print(model, flush=True)
    first = measure_engine(root / "first", [*two, "measure.window.min_s=1"])  # fills caches; does not count
    turn_s = max(TURN_S, STEPS_PER_TURN * first["step_s"])
    length = [f"measure.window.min_s={window_s}"]
    engine = {"one": engine_side([*one, *length]), "two": engine_side([*two, *length])}
    scaled = measure_pairs(engine, root / f"{model}_scaling", options, over="one", turn_s=turn_s)
    sides = {"engine": engine["two"], "bare": bare_side(plan)}
    over_bare = measure_pairs(sides, root / f"{model}_bare", options, over="bare", turn_s=turn_s)
    parameters = figure(folders(root / "first")[-1], "compute/parameters")
    return {
        "parameters": parameters,
        "turn_s": turn_s,
        "two_over_one": scaled,
        "engine_over_bare": over_bare | {"goal": goal(LEAST_RATIO, "at_least", over_bare["ratio"]["median"])},
    }


def main() -> None:
    """Measure every model and file the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.scaling", description=__doc__)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--models", nargs="+", default=["bert"])
    parser.add_argument("--window-s", type=float, default=8.0, help="for each side of a pair")
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.vendor, options.precision = HOST_VENDOR, "fp32"
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    record = Record("scaling", folder=options.out)
    with scratch() as folder:
        models = {model: measure_model(model, options, folder) for model in options.models}
    for model, told in models.items():
        for name in ("two_over_one", "engine_over_bare"):
            ratio = told[name]["ratio"]
            print(f"{model} {name}: {ratio['median']:.4f} ({ratio['min']:.4f} to {ratio['max']:.4f})")
    asked = {name: getattr(options, name) for name in ("pairs", "window_s", "threads", "vendor", "precision")}
    print(record.file({"asked": {**asked, "ranks": RANKS, "scale": "tiny"}, "models": models}).name)


if __name__ == "__main__":
    main()
