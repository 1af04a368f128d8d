"""What one more case costs a sweep, beyond its own training.

    python -m benchmarks.sweep [--pairs 3] [--model bert]

Sweeps of 2 and of 6 cases that differ in their seed alone: (T6 - T2) / 4, less the mean training time of cases 3 to 6.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks.engine import STAGES, figure, folders, read, run, scratch, stages
from benchmarks.record import RESULTS, Record, goal, summary, take_turns
from hardware.detect import detect_vendor
from runner.core.events import Name

MOST_S = 3.0
FEW, MANY = 2, 6


def measure_sweep(cases: int, arguments: list[str], root: Path) -> dict[str, Any]:
    """One sweep: its seconds, and each case's training time and stages."""
    seeds = ",".join(str(seed + 1) for seed in range(cases))
    ended = run("runner", "-m", *arguments, f"seed={seeds}", f"run.root={root}")
    found = folders(root)[-cases:]
    events = [read(folder) for folder in found]
    trained_s = [figure(folder, "time/train_s") for folder in found]
    told = [next(event.monotonic_s for event in story if event.name == Name.FINISHED) for story in events]
    # A case begins where the one before it has told its last event: what follows that event is the next one's stage.
    parts = [stages(story, begin) for story, begin in zip(events, [ended.began_s, *told[:-1]], strict=True)]
    return {"seconds": ended.seconds, "train_s": trained_s, "stages": parts}


def marginal_s(few: dict[str, Any], many: dict[str, Any]) -> float:
    """Seconds that an added case takes beyond its training."""
    added = len(many["train_s"]) - len(few["train_s"])
    own_s = statistics.fmean(many["train_s"][-added:])
    return float((many["seconds"] - few["seconds"]) / added - own_s)


def main() -> None:
    """Measure and file the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.sweep", description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--model", default="bert")
    parser.add_argument("--vendor", default=detect_vendor())
    parser.add_argument("--override", nargs="*", default=[], help="further overrides")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    arguments = ["task=train", f"model={options.model}", "scale=tiny", "measure=smoke", f"vendor={options.vendor}"]
    arguments += options.override
    record = Record("sweep", folder=options.out)
    with scratch() as root:
        measure_sweep(FEW, arguments, root)  # fills caches and makes the database; does not count
        pairs = take_turns(
            options.pairs,
            {
                "few": lambda: measure_sweep(FEW, arguments, root),
                "many": lambda: measure_sweep(MANY, arguments, root),
            },
            shown="seconds",
        )
    each = [marginal_s(pair["few"], pair["many"]) for pair in pairs]
    cost = summary(each)
    later = [parts for pair in pairs for parts in pair["many"]["stages"][FEW:]]
    medians = {name: statistics.median(parts[name] for parts in later) for name in STAGES}
    for name, seconds in medians.items():
        print(f"  {name:<24}{seconds:6.2f} s")
    print(f"one more case: {cost['median']:.2f} s beyond its training ({cost['min']:.2f} to {cost['max']:.2f})")
    content = {"cases": [FEW, MANY], "pairs": pairs, "each_s": each, "marginal_s": cost, "stages_median_s": medians}
    print(record.file(content | {"goal": goal(MOST_S, "at_most", cost["median"])}).name)


if __name__ == "__main__":
    main()
