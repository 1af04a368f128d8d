"""Trains cases for a few steps each, in whatever framework they name; `framework_run.py FOLDER`, cases in `cases.json`.

Each case leaves `steps.csv` with every rank's losses, samples and tokens, `weights.ckpt` where asked, and `result.json`
with what it raised. Alone, or in the ranks that torchrun started; the cases of one folder are of one framework.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose

from hardware.child import environment_of_child, python
from hardware.device import load_device
from models.trainable import Trainable
from runner.config.checks import with_devices
from runner.config.compose import composing, to_case
from runner.config.known import check_framework, runtime_of
from runner.config.schema import Case
from runner.core.errors import classify
from runner.core.events import EventWriter
from runner.frameworks.implementations import build_trainable, framework_of
from runner.frameworks.loaders import build_training_loader
from runner.measure.context import Context
from runner.measure.step_records import StepsFile
from runner.record.task import task_of

QUICK = ("measure.warmup.block_steps=1", "measure.warmup.blocks=2", "measure.warmup.max_steps=1")


def run_cases(
    folder: Path, cases: Mapping[str, Sequence[str]], *, steps: int = 5, ranks: int = 1, script: str = __file__
) -> None:
    """Train cases of one framework, by name and overrides, in a process or in so many ranks of their own.

    `script` is another program that calls `main` with the folder, after what its framework needs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = {name: {"overrides": list(overrides), "steps": steps} for name, overrides in cases.items()}
    (folder / "cases.json").write_text(json.dumps(told))
    own = [sys.executable, "-P", str(Path(script).resolve()), str(folder)]
    launch = python("torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "--no-python")
    with (folder / "output.log").open("wb") as output:
        subprocess.run(
            [*launch, *own] if ranks > 1 else own,
            env=environment_of_child({"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}),
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=False,
        )


def records(folder: Path, rank: int = 0) -> list[dict[str, float]]:
    """The steps of one rank: loss, samples, tokens.

    Raises:
        AssertionError: the case failed; says why.
    """
    result = json.loads((folder / "result.json").read_text()) if (folder / "result.json").exists() else None
    log = folder.parent / "output.log"
    assert result is not None and result["error"] is None, (result, log.read_text()[-3000:])
    with (folder / "steps.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["rank"] == str(rank)]
    return [{name: float(row[name] or "nan") for name in ("loss", "samples", "tokens")} for row in rows]


def losses(folder: Path, rank: int = 0) -> list[float]:
    """The losses of one rank's steps."""
    return [one["loss"] for one in records(folder, rank)]


def case_of(overrides: Sequence[str]) -> Case:
    """The tiny case on the host CPU, checked by its framework."""
    with composing():
        chosen = ["vendor=cpu", "tracking=none", "scale=tiny", "measure=smoke", *QUICK, *overrides]
        case = with_devices(to_case(compose("config", overrides=chosen)))
    check_framework(case, task_of(case))
    return case


def context_of(case: Case, folder: Path) -> Context:
    """This rank's context, its device connected as the worker connects it."""
    rank = int(os.environ.get("RANK", "0"))
    device = load_device(case.vendor, emulate=case.emulate, runtime=runtime_of(case))
    device.connect()
    device.set_matmul(case.precision.matmul)
    if rank == 0:
        StepsFile.create(folder / "steps.csv")
    return Context(
        case=case,
        folder=folder,
        rank=rank,
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        world=int(os.environ.get("WORLD_SIZE", "1")),
        events=EventWriter(folder / "events" / f"rank{rank}.log", rank=rank),
        device=device,
        mark=lambda name: time.monotonic(),
    )


def train(folder: Path, overrides: Sequence[str], steps: int) -> Trainable:
    """Train so many steps, the first in warm-up; returns what was trained."""
    context = context_of(case_of(overrides), folder)
    trainable = build_trainable(context)
    datasets = None if context.case.data.name == "synthetic" else trainable.datasets(context.case.data)
    loader = build_training_loader(context, trainable, datasets)
    framework_of(context).train(trainable, loader, next_segment=lambda seconds, done, spent: max(0, steps - 1 - done))
    return trainable


def main(folder: Path, train: Callable[[Path, Sequence[str], int], object] = train) -> None:
    """Train each case of the folder.

    Args:
        folder: with `cases.json`.
        train: what is done with a case: its own folder, its overrides, how many steps.
    """
    for name, values in json.loads((folder / "cases.json").read_text()).items():
        own = folder / name
        (own / "events").mkdir(parents=True, exist_ok=True)
        result: dict[str, Any] = {"error": None}
        try:
            train(own, values["overrides"], values["steps"])
        except Exception as error:  # noqa: BLE001 -- what it was is for the test to judge
            traceback.print_exc()
            cause = classify(error)
            result = {"error": str(cause), "exit_code": cause.exit_code}
        if os.environ.get("RANK", "0") == "0":
            (own / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
