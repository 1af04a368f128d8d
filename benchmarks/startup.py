"""How long it takes from the command to the end of the first training step, against a bare script.

    python -m benchmarks.startup [--pairs 5] [--model bert]

The bare script imports the same libraries, builds the same model on the same sample data and takes the same step. Also:
how long `--cfg job` takes, which composes a case and runs nothing, and what its imports cost.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.engine import ROOT, STAGES, compose_case, folders, plan_of, read, run, run_bare, scratch, stages
from benchmarks.record import RESULTS, Record, goal, summary, take_turns
from hardware.detect import detect_vendor
from runner.core.events import Name

MOST_RATIO = 1.25
IMPORT_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s*([\w.]+)$")
SHOWN_PACKAGES = 12


def measure_engine(arguments: list[str], root: Path) -> dict[str, Any]:
    """Seconds to the first step, and the stages on the way."""
    ended = run("runner", *arguments, f"run.root={root}")
    events = read(folders(root)[-1])
    first = next(event for event in events if event.name == Name.STEP_END)
    parts = stages(events, ended.began_s, ended.began_s + ended.seconds)
    seconds = first.monotonic_s - ended.began_s
    return {"seconds": seconds, "others": ended.others, "loss": first.value["loss"], "stages": parts}


def measure_bare(plan: Path) -> dict[str, Any]:
    """Seconds to the first step of the bare script."""
    ended, told = run_bare(plan, "first_step")
    return {"seconds": told["monotonic_s"] - ended.began_s, "others": told["others"], "loss": told["loss"]}


def measure_pairs(options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """All pairs, after one run of each side that fills caches and does not count.

    Raises:
        SystemExit: the two sides' first losses differ, so they did not take the same step.
    """
    arguments = ["task=train", f"model={options.model}", "scale=tiny", f"vendor={options.vendor}"]
    plan_path = root / "plan.json"
    plan_of(compose_case(*arguments), warmup_steps=0, window_s=0).save(plan_path)
    arguments += ["measure=smoke", *options.override]  # what comes after the first step matters to nobody here
    measure_bare(plan_path)
    measure_engine(arguments, root)
    pairs = take_turns(
        options.pairs,
        {"engine": lambda: measure_engine(arguments, root), "bare": lambda: measure_bare(plan_path)},
        shown="seconds",
    )
    if any(abs(pair["engine"]["loss"] - pair["bare"]["loss"]) > 1e-5 for pair in pairs):
        raise SystemExit(f"The first losses differ: {pairs}")
    each = [pair["engine"]["seconds"] / pair["bare"]["seconds"] for pair in pairs]
    ratio = summary(each)
    names = list(pairs[0]["engine"]["stages"])
    parts = {name: summary([pair["engine"]["stages"][name] for pair in pairs])["median"] for name in names}
    return {
        "pairs": pairs,
        "ratios": each,
        "engine_s": summary([pair["engine"]["seconds"] for pair in pairs]),
        "bare_s": summary([pair["bare"]["seconds"] for pair in pairs]),
        "ratio": ratio,
        "stages_median_s": parts,
        "goal": goal(MOST_RATIO, "at_most", ratio["median"]),
    }


def measure_composing(arguments: list[str], times: int) -> dict[str, Any]:
    """Seconds of `--cfg job`, and what its imports cost by package."""
    command = ["runner", "--cfg", "job", *arguments]
    seconds = [run(*command).seconds for _ in range(times + 1)][1:]
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules, packages = import_costs(traced.stderr)
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return {
        "seconds": summary(seconds),
        "raw_s": seconds,
        "python_alone_s": time.monotonic() - began,
        "modules_imported": modules,
        "import_s_by_package": packages,
    }


def import_costs(told: str) -> tuple[int, dict[str, float]]:
    """Number of modules in the output of `-X importtime`, and seconds by top-level package, dearest first."""
    matches = [match for line in told.splitlines() if (match := IMPORT_LINE.match(line))]
    costs: defaultdict[str, float] = defaultdict(float)
    for match in matches:
        costs[match[2].partition(".")[0]] += int(match[1]) / 1e6
    dearest = sorted(costs.items(), key=lambda cost: -cost[1])[:SHOWN_PACKAGES]
    return len(matches), dict(dearest)


def main() -> None:
    """Measure and file the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.startup", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--model", default="bert")
    parser.add_argument("--vendor", default=detect_vendor())
    parser.add_argument("--override", nargs="*", default=[], help="further overrides of the engine's side alone")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    record = Record("startup", folder=options.out)
    with scratch() as root:
        composing = measure_composing([f"vendor={options.vendor}"], options.pairs)
        print(f"--cfg job: {composing['seconds']['median']:.2f} s, {composing['modules_imported']} modules", flush=True)
        first_step = measure_pairs(options, root)
    ratio = first_step["ratio"]
    print(f"engine / bare = {ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})")
    for name in STAGES:
        print(f"  {name:<24}{first_step['stages_median_s'][name]:6.2f} s")
    print(record.file({"first_step": first_step, "composing": composing}).name)


if __name__ == "__main__":
    main()
