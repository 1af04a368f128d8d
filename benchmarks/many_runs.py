"""How long results of many runs take to answer: listing, finding an earlier run, and finding out that all is filed.

Makes run folders as the engine leaves them (without traces and pictures) and a local store that holds all, and asks
in fresh processes: first without an index, then with one, then after a hundred results more.

python -m benchmarks.many_runs [--runs 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from benchmarks.engine import compose_case
from benchmarks.record import Record, goal, summary
from runner.config.division import Division
from runner.config.schema import Case
from runner.core.events import EventWriter, Name
from runner.record.names import unit_of
from runner.record.report import Figure, Publication, Report
from runner.record.run_record import PARENT_LOG
from runner.record.task import figures_for
from runner.tracking import local
from runner.tracking.cursor import Cursor

MOST_S = 2.0
SWEEP = 100
"""Runs of one sweep's folder."""
SEEDS = 20
"""Of each composition; further runs are the same cases again."""
COMPOSITIONS = tuple(
    (f"model={model}", f"precision={precision}")
    for model in ("bert", "resnet50", "gpt2")
    for precision in ("fp32", "bf16")
)
ALWAYS = ("task=train", "vendor=cpu", "scale=tiny", "measure=smoke", "tracking=mlflow")
PACKAGES = {f"package-{number}": f"{number}.0" for number in range(250)}
RULES = [{"rule": f"rule {number}", "asks": "x" * 90, "outcome": "kept", "text": "x" * 60} for number in range(18)]
SUMMARIES = "from runner.results.index import summaries; found, _ = summaries([ROOT]); print(len(found))"
RESUME = """
from runner.config.schema import load_case
from runner.launch.folder import find_earlier
found = find_earlier(load_case(CASE), ROOT)
assert found is not None
print(found.name)
"""


def report_of(case: Case, number: int) -> Report:
    """A report as long as a real one, with a throughput of its own."""
    values = dict.fromkeys(figures_for("train"), 100.0 + number / 7) | {"run/publishable": 0.0, "run/emulated": 0.0}
    told = {"task": "train", "model": case.model.name, "vendor": "cpu", "chip": "a processor", "scale": case.scale}
    told |= {"precision": case.precision.name, "framework": "pytorch", "compiler": "eager", "topology": "single"}
    told |= {"devices": "1", "data": "sample", "measure": "smoke", "unit": case.model.unit, "identity": case.identity}
    return Report(
        status="done",
        exit_code=0,
        error=None,
        case=told | {"name": case.name, "seed": case.seed},
        figures={
            name: Figure(value=None, unit=unit_of(name, case.model.unit), reason="no meter of this kind was found here")
            if name.startswith(("energy", "power"))
            else Figure(value=value, unit=unit_of(name, case.model.unit))
            for name, value in values.items()
        },
        precision={"autocast": None, "parameters": ["float32"]},
        division=Division(name="closed"),
        environment={"packages": PACKAGES, "number": number},
        warnings=["Short window: 3.1 s and 12 steps, where measure=smoke asks for 3 s and 20 steps."],
        publication=Publication(asked={"window_s": 30}, parts=[{"steady": True}], by_run=True, rules=RULES),
    )


def make_runs(root: Path, first: int, last: int, cases: Sequence[Case]) -> list[str]:
    """Run folders with the numbers from `first` to `last`, filed in the store of the root; their ids there."""
    texts: dict[int, str] = {}
    ids = []
    for number in range(first, last):
        sort = number % len(cases)
        folder = root / "2026-01-01" / f"{number // SWEEP:04}_sweep" / f"{number % SWEEP}_{cases[sort].name}"
        folder.mkdir(parents=True)
        if sort not in texts:
            cases[sort].save(folder / "run.yaml")
            texts[sort] = (folder / "run.yaml").read_text()
        (folder / "run.yaml").write_text(texts[sort])
        events = EventWriter(folder / "events" / PARENT_LOG, rank=-1)
        events.emit(Name.SUBMIT_INFO, {"identity": cases[sort].identity})
        events.close()
        (folder / "run.lock").touch()
        report = report_of(cases[sort], number)
        report.save(folder / "report.json")
        ids.append(uuid.uuid4().hex)
        digest = report.to_dict()["hash"]
        uri = local.address(root / "mlflow.db")
        Cursor(uri=uri, run_id=ids[-1], described=True, finished=True, report_hash=digest).save(folder)
    return ids


def hold(store: Path, ids: Sequence[str]) -> None:
    """Enter runs in a local store. By MLflow's own way that would take minutes."""
    rows = [(one, one, "FINISHED", "active", 0) for one in ids]
    with closing(sqlite3.connect(store)) as opened, opened:
        columns = "run_uuid, name, status, lifecycle_stage, experiment_id"
        opened.executemany(f"insert into runs ({columns}) values (?, ?, ?, ?, ?)", rows)


def commands(root: Path) -> dict[str, list[str]]:
    """What is asked."""
    case = next(root.glob("*/*/*/run.yaml")).parent
    places = f"from pathlib import Path; ROOT, CASE = Path({str(root)!r}), Path({str(case)!r})\n"
    return {
        "summaries": [sys.executable, "-c", places + SUMMARIES],
        "resume": [sys.executable, "-c", places + RESUME],
        "sync": [sys.executable, "-m", "runner.sync", str(root)],
        "report": [sys.executable, "-m", "runner.report", str(root)],
    }


def seconds(command: Sequence[str]) -> float:
    """Of a command, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(root: Path, runs: int, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds of each question: the first time, later, and the first time after a hundred results more."""
    cases = [
        replace(compose_case(*chosen, *ALWAYS, f"run.root={root}"), seed=seed)
        for chosen in COMPOSITIONS
        for seed in range(SEEDS)
    ]
    local.prepare(root / "mlflow.db")
    hold(root / "mlflow.db", make_runs(root, 0, runs, cases))
    told: dict[str, dict[str, dict[str, float]]] = {}
    asked = commands(root)
    for name, command in asked.items():
        told[name] = {"first_s": summary([seconds(command)])}
    time.sleep(3)  # what was written in the last two seconds before it was read is looked at once more
    for name, command in asked.items():
        told[name]["later_s"] = summary([seconds(command) for _ in range(rounds)])
        print(f"  {name}: {json.dumps(told[name])}", flush=True)
    hold(root / "mlflow.db", make_runs(root, runs, runs + SWEEP, cases))
    for name, command in asked.items():
        told[name]["after_a_hundred_more_s"] = summary([seconds(command)])
    return told


def main() -> int:
    """Measure and file the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    record = Record("many_runs")
    root = Path(tempfile.mkdtemp(prefix="touchstone_many_runs_"))
    try:
        told = measure(root, options.runs, options.rounds)
        size_mib = (root / ".touchstone-index.sqlite").stat().st_size / 2**20
        report_kib = next(root.glob("*/*/*/report.json")).stat().st_size / 1024
    finally:
        shutil.rmtree(root)
    slowest = max(one["later_s"]["median"] for one in told.values())
    content = {"runs": options.runs, "report_kib": report_kib, "index_mib": size_mib, "seconds": told}
    content |= {"goal": goal(MOST_S, "at_most", slowest)}
    print(json.dumps(content["goal"]))
    print(f"Filed in {record.file(content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
