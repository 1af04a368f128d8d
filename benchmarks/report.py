"""How long `python -m runner.report` takes over many runs: it must grow with their number, not with its square.

python -m benchmarks.report [--runs 500 1000 3000]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.record import Record, goal
from runner.config.division import Division
from runner.record.names import unit_of
from runner.record.report import Figure, Report
from runner.record.task import figures_for

MOST_S = 10.0
"""For 3,000 runs."""
FORMATS = ("table", "markdown", "csv", "json", "html")


def one_of_many(number: int) -> Report:
    """A report of a training run with every figure measured; each run's own throughput."""
    names = figures_for("train")
    figures = {name: Figure(value=100.0 + number, unit=unit_of(name, "sequences")) for name in names}
    case: dict[str, Any] = {"task": "train", "model": "bert", "scale": "reference", "data": "sample", "devices": 1}
    about = case | {"vendor": "nvidia", "precision": "bf16", "measure": "standard", "seed": number, "unit": "sequences"}
    return Report(
        status="done",
        exit_code=0,
        error=None,
        case=about,
        figures=figures | {"run/publishable": Figure(value=1.0, unit="bool")},
        precision={},
        division=Division(name="closed"),
        environment={},
        warnings=[],
    )


def make_runs(root: Path, count: int) -> None:
    """Run folders with a report each."""
    for number in range(count):
        folder = root / f"day_{number // 100:03}" / f"run_{number:05}"
        folder.mkdir(parents=True)
        replace(one_of_many(number)).save(folder / "report.json")


def measure(root: Path, chosen: str) -> float:
    """Seconds of one command, from its start to its end."""
    command = [sys.executable, "-m", "runner.report", str(root), "--format", chosen]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> int:
    """Measure each number of runs in each format and file the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[500, 1000, 3000])
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    options = parser.parse_args()
    record = Record("report")
    told: dict[str, dict[str, float]] = {}
    for count in options.runs:
        root = Path(tempfile.mkdtemp(prefix="touchstone_report_"))
        try:
            make_runs(root, count)
            told[str(count)] = {chosen: measure(root, chosen) for chosen in options.formats}
        finally:
            shutil.rmtree(root)
        print(f"  {count} runs: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told[str(count)].items()))
    slowest = max(told[str(max(options.runs))].values())
    content = {"seconds": told, "goal": goal(MOST_S, "at_most", slowest)}
    print(json.dumps(content["goal"]))
    print(f"Filed in {record.file(content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
