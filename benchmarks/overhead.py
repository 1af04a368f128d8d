"""How much slower the engine trains than a bare loop: everything on, through the command line, against `bare`.

    python -m benchmarks.overhead [--pairs 5] [--models bert resnet50 gpt2] [--window-s 8]

Both sides train the same workload on the same synthetic batch with the same seed, optimizer, schedule, threads, warm-up
and window; they take turns (A B, B A, …), and each pair gives one ratio of samples per second. Where a virtual machine
shares its cores with others unseen, single pairs scatter by a tenth and more: disturbance only ever slows, so the ratio
of the fastest run of each side stands beside the median.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.engine import compose_case, figure, folders, plan_of, report, run, run_bare, scratch
from benchmarks.record import RESULTS, Record, goal, summary, take_turns
from hardware.detect import detect_vendor

LEAST_RATIO = 0.98
WARMUP_STEPS = 20


def overrides(model: str, options: argparse.Namespace) -> list[str]:
    """The command line of one case; warm-up always takes `WARMUP_STEPS`, whatever the speed does."""
    return [
        "task=train",
        "data=synthetic",
        "scale=tiny",
        "tracking=mlflow",
        "measure=smoke",
        f"model={model}",
        f"vendor={options.vendor}",
        f"precision={options.precision}",
        f"measure.window.min_s={options.window_s}",
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
        "own_fraction": figure(folder, "overhead/fraction"),
        "others": ended.others,
        "threads": report(folder)["environment"]["threads_per_rank"],
    }


def measure_model(model: str, options: argparse.Namespace, root: Path) -> dict[str, Any]:
    """All pairs of one model.

    Raises:
        SystemExit: the two sides did not use equally many threads.
    """
    arguments = overrides(model, options)
    plan_path = root / f"{model}.json"
    plan_of(compose_case(*arguments), warmup_steps=WARMUP_STEPS, window_s=options.window_s).save(plan_path)
    print(model, flush=True)
    measure_engine(root, [*arguments, "measure.window.min_s=1"])  # fills caches and makes the database; does not count
    pairs = take_turns(
        options.pairs,
        {"engine": lambda: measure_engine(root, arguments), "bare": lambda: run_bare(plan_path, "speed")[1]},
        shown="samples_per_second",
    )
    if len({pairs[0][side]["threads"] for side in ("engine", "bare")}) != 1:
        raise SystemExit(f"{model}: unequal thread counts: {pairs[0]}")
    each = [pair["engine"]["samples_per_second"] / pair["bare"]["samples_per_second"] for pair in pairs]
    ratios = summary(each)
    fastest = {side: max(pair[side]["samples_per_second"] for pair in pairs) for side in pairs[0]}
    best = fastest["engine"] / fastest["bare"]
    spread = f"{ratios['min']:.4f} to {ratios['max']:.4f}, of the fastest {best:.4f}"
    print(f"{model}: engine / bare = {ratios['median']:.4f} ({spread})", flush=True)
    return {
        "pairs": pairs,
        "ratios": each,
        "ratio": ratios,
        "ratio_of_fastest": best,
        "goal": goal(LEAST_RATIO, "at_least", ratios["median"]),
    }


def main() -> None:
    """Measure every model and file the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.overhead", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["bert", "resnet50", "gpt2"])
    parser.add_argument("--window-s", type=float, default=8.0)
    parser.add_argument("--vendor", default=detect_vendor())
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    record = Record("overhead", folder=options.out)
    with scratch() as folder:
        models = {model: measure_model(model, options, folder) for model in options.models}
    asked = {name: getattr(options, name) for name in ("pairs", "window_s", "vendor", "precision")} | {"scale": "tiny"}
    print(record.file({"asked": {**asked, "warmup_steps": WARMUP_STEPS}, "models": models}).name)


if __name__ == "__main__":
    main()
