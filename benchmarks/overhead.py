"""How much slower the engine trains than a bare loop: everything on, through the command line, against `bare`.

    python -m benchmarks.overhead [--pairs 12] [--models bert resnet50 gpt2] [--by turns|runs] [--window-s 10]
    python -m benchmarks.overhead --framework jax --models resnet50

Both sides train the same trainable on the same synthetic batch with the same seed, optimizer, schedule, threads and
warm-up, in fresh processes for each pair. By `turns` (on the host CPU) both sides of a pair are alive and take turns of
a second or of twelve steps; the pair's ratio is the median over neighbouring turns. Processes of one kind differ by a
few percent, by which was started last among other things: in every other pair the bare loop starts first. By `runs`
(on an accelerator, where work queued by a stopped process would go on) they run one after the other, A B, B A, …; its
ratio is that of samples per second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from itertools import accumulate
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
    read,
    report,
    run,
    run_bare,
    scratch,
    start,
    wait_for,
    wait_for_line,
)
from benchmarks.record import RESULTS, Record, goal, settle, summary, take_turns
from benchmarks.turns import ended_with, go_on, middle, ratios, run_in_turns, stop
from hardware.detect import detect_vendor
from runner.core.events import Name
from runner.record.run_record import read_record

LEAST_RATIO = 0.98
WARMUP_STEPS = 20
TURN_S = 1.0
STEPS_PER_TURN = 12
"""A turn is `TURN_S` long, longer where so many steps take longer: the first after a stop is not like the rest."""
SPARE = 1.15
"""By how much a window is planned longer than its turns, so that neither side ends before them."""


def overrides(model: str, options: argparse.Namespace) -> list[str]:
    """The command line of one case; warm-up always takes `WARMUP_STEPS`, whatever the speed does."""
    return [
        "task=train",
        "data=synthetic",
        "scale=tiny",
        "tracking=mlflow",
        "measure=smoke",
        f"model={model}",
        f"framework={options.framework}",
        f"vendor={options.vendor}",
        f"precision={options.precision}",
        f"measure.window.max_s={10 * options.window_s}",
        f"measure.warmup.max_steps={WARMUP_STEPS}",
        "measure.warmup.max_s=600",
        "measure.warmup.tolerance=1e-9",
    ]


def measure_engine(root: Path, arguments: list[str]) -> dict[str, Any]:
    """One run of the engine."""
    ended = run("runner", *arguments, f"run.root={root}")
    folder = folders(root)[-1]
    return {
        "samples_per_second": figure(folder, "throughput/steady"),
        "seconds": figure(folder, "run/window_s"),
        "step_s": figure(folder, "step/mean_ms") / 1e3,
        "own_fraction": figure(folder, "overhead/fraction"),
        "others": ended.others,
        "threads": report(folder)["environment"]["threads_per_rank"],
    }


def by_runs(options: argparse.Namespace, arguments: list[str], plan: Path, root: Path) -> list[dict[str, Any]]:
    """Pairs of whole runs: the ratio, and both sides."""
    pairs = take_turns(
        options.pairs,
        {"engine": lambda: measure_engine(root, arguments), "bare": lambda: run_bare(plan, "speed")[1]},
        shown="samples_per_second",
    )
    return [
        {"ratio": pair["engine"]["samples_per_second"] / pair["bare"]["samples_per_second"]}
        | {side: {key: value for key, value in told.items() if key != "ends_s"} for side, told in pair.items()}
        for pair in pairs
    ]


def by_turns(
    options: argparse.Namespace, arguments: list[str], plan: Path, root: Path, *, turn_s: float
) -> list[dict[str, Any]]:
    """Pairs of programs that take turns: the ratio, those of their turns, and both sides."""
    pairs = []
    for number in range(options.pairs):
        engine_first = number % 2 == 0  # the one started last is often the faster
        folder = root / f"turns{number}"
        pairs.append(_pair_by_turns(options, arguments, plan, folder, turn_s=turn_s, engine_first=engine_first))
        print(f"  pair {number + 1}: engine / bare = {pairs[-1]['ratio']:.4f}", flush=True)
    return pairs


def _pair_by_turns(
    options: argparse.Namespace, arguments: list[str], plan: Path, root: Path, *, turn_s: float, engine_first: bool
) -> dict[str, Any]:
    busy = settle()
    sides: dict[str, subprocess.Popen[str]] = {}
    with ended_with(sides):
        for side in ("engine", "bare") if engine_first else ("bare", "engine"):
            if side == "engine":
                sides[side] = start("runner", *arguments, f"run.root={root}")
                wait_for(root, Name.SEGMENT_BEGIN, sides[side])
            else:
                sides[side] = start("benchmarks.bare", str(plan), "speed")
                wait_for_line(WINDOW_BEGINS, sides[side])
            stop(sides[side])
        turns = run_in_turns(sides, pairs=round(options.window_s / turn_s), turn_s=turn_s)
        go_on(sides["bare"])
        told = json.loads(finish(sides["bare"]).splitlines()[-1])
        go_on(sides["engine"])
        finish(sides["engine"])
    (folder,) = folders(root)
    ends_s = {"engine": step_ends_s(folder), "bare": told["ends_s"]}
    each = ratios(turns, ends_s, over="bare")
    threads = {"engine": report(folder)["environment"]["threads_per_rank"], "bare": told["threads"]}
    counted = {side: {"threads": threads[side], "steps": len(ends_s[side])} for side in ends_s}
    first = {"busy_before": busy, "started_first": next(iter(sides)), "turn_s": turn_s}
    return {"ratio": middle(each), **first, "turns": each, **counted}


def step_ends_s(folder: Path) -> list[float]:
    """Monotonic times at which the steps of a run's single segment ended, its beginning first."""
    (segment,) = (event.value for event in read(folder) if event.name == Name.SEGMENT_END)
    seconds = (float(row["seconds"]) for row in read_record(folder).steps("window"))
    return list(accumulate(seconds, initial=segment["begin_s"]))


def measure_model(model: str, options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """All pairs of one model.

    Raises:
        SystemExit: the two sides did not use equally many threads.
    """
    arguments = overrides(model, options)
    window_s = options.window_s * (SPARE if options.by == "turns" else 1)
    plan_path = root / f"{model}.json"
    plan_of(compose_case(*arguments), warmup_steps=WARMUP_STEPS, window_s=window_s).save(plan_path)
    print(model, flush=True)
    first = measure_engine(root / "first", [*arguments, "measure.window.min_s=1"])  # fills caches; does not count
    engine = [*arguments, f"measure.window.min_s={window_s}"]
    if options.by == "turns":
        turn_s = max(TURN_S, STEPS_PER_TURN * first["step_s"])
        pairs = by_turns(options, engine, plan_path, root / model, turn_s=turn_s)
    else:
        pairs = by_runs(options, engine, plan_path, root / model)
    if any(pair["engine"]["threads"] != pair["bare"]["threads"] for pair in pairs):
        raise SystemExit(f"{model}: unequal thread counts: {pairs}")
    ratio = summary([pair["ratio"] for pair in pairs])
    print(f"{model}: engine / bare = {ratio['median']:.4f} ({ratio['min']:.4f} to {ratio['max']:.4f})", flush=True)
    return {"pairs": pairs, "ratio": ratio, "goal": goal(LEAST_RATIO, "at_least", ratio["median"])}


def main() -> None:
    """Measure every model and file the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.overhead", description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--models", nargs="+", default=["bert", "resnet50", "gpt2"])
    parser.add_argument("--framework", default="pytorch", help="others: those of benchmarks/ported")
    parser.add_argument("--by", choices=("turns", "runs"), help="default: turns on the CPU, runs elsewhere")
    parser.add_argument("--window-s", type=float, default=10.0, help="for each side of a pair")
    parser.add_argument("--vendor", default=detect_vendor())
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.by = options.by or ("turns" if options.vendor == HOST_VENDOR else "runs")
    record = Record(
        "overhead" if options.framework == "pytorch" else f"overhead_{options.framework}", folder=options.out
    )
    with scratch() as folder:
        models = {model: measure_model(model, options, folder) for model in options.models}
    asked = {name: getattr(options, name) for name in ("framework", "pairs", "by", "window_s", "vendor", "precision")}
    told = {**asked, "scale": "tiny", "warmup_steps": WARMUP_STEPS}
    print(record.file({"asked": told, "models": models}).name)


if __name__ == "__main__":
    main()
