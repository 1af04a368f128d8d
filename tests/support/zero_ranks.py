"""Trains cases with DeepSpeed, one after the other in one process per rank: starting DeepSpeed takes seconds.

`python -m torch.distributed.run --nproc-per-node N zero_ranks.py FOLDER …`; each folder has its `run.yaml`.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from command import environment

from hardware.device import load_device
from runner.config.schema import Case, load_case
from runner.core.events import EventWriter, Name, read_events
from runner.measure.context import Context
from runner.measure.step_records import StepsFile
from runner.record.task import task_of


def train_ranks(cases: dict[Path, Case], *, ranks: int, timeout_s: float = 300) -> dict[str, ZeroRun]:
    """Train cases, each in a folder; what they left, by the folder's name."""
    for folder, case in cases.items():
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / "events").mkdir(exist_ok=True)
        (folder / "run.yaml").unlink(missing_ok=True)
        case.save(folder / "run.yaml")
        StepsFile.create(folder / "steps.csv")
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    home = next(iter(cases)).parent / "home"
    home.mkdir(exist_ok=True)
    given = environment() | {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [*start, __file__, *map(str, cases)]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {folder.name: ZeroRun(folder, ranks) for folder in cases}


class ZeroRun:
    """What a case left in its folder."""

    def __init__(self, folder: Path, ranks: int) -> None:
        self.folder, self.ranks = folder, ranks
        self.events = [read_events(folder / "events" / f"rank{rank}.log")[0] for rank in range(ranks)]
        told = [json.loads((folder / f"ended{rank}.json").read_text()) for rank in range(ranks)]
        self.errors: list[str] = [one["error"] for one in told]
        self.marks: list[str] = told[0]["marks"]

    def losses(self) -> list[float]:
        """Each step's loss, the mean over the ranks; steps that were redone count once."""
        found: dict[int, dict[int, float]] = defaultdict(dict)
        with (self.folder / "steps.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                found[int(row["step"])][int(row["rank"])] = float(row["loss"])
        assert all(len(one) == self.ranks for one in found.values())
        return [sum(found[step].values()) / self.ranks for step in sorted(found)]

    def told(self, name: Name, rank: int = 0) -> list[dict[str, Any]]:
        """The values of all events of a name."""
        return [event.value for event in self.events[rank] if event.name == name]


def _train(folder: Path, rank: int) -> None:
    case, marks, error = load_case(folder), [], ""

    def mark(name: str) -> float:
        marks.append(name)
        return time.monotonic()

    device = load_device(case.vendor, emulate=case.emulate)
    device.connect()
    device.set_matmul(case.precision.matmul)
    context = Context(
        case=case,
        folder=folder,
        rank=rank,
        local_rank=rank,
        world=int(os.environ["WORLD_SIZE"]),
        events=EventWriter(folder / "events" / f"rank{rank}.log", rank=rank),
        device=device,
        mark=mark,
    )
    try:
        task_of(case).run(context)
    except Exception as problem:  # noqa: BLE001 -- every rank meets it alike, and the test looks at it
        traceback.print_exc()
        error = f"{type(problem).__name__}: {problem}"
    (folder / f"ended{rank}.json").write_text(json.dumps({"error": error, "marks": marks}))


def main(folders: Iterable[str]) -> None:
    """Train one case after the other."""
    for folder in folders:
        _train(Path(folder), int(os.environ["RANK"]))


if __name__ == "__main__":
    main(sys.argv[1:])
