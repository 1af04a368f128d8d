"""The benchmark of two ranks: its arithmetic on programs that only sleep, and the bare loop on two real ranks."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scaling
from benchmarks.engine import ROOT, compose_case, plan_of
from benchmarks.scaling import measure_pair, measure_pairs

TICKING = """
import sys, time, json
print("ready", flush=True)
ends = []
for _ in range(int(sys.argv[2])):
    time.sleep(float(sys.argv[1]))
    ends.append(time.monotonic())
print(json.dumps(ends))
"""


def ticking(step_s: float, steps: int, *, threads: int = 1) -> scaling.Side:
    """A program whose steps sleep so long."""

    def begin(root: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TICKING, str(step_s), str(steps)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    def end(process: subprocess.Popen[str], root: Path) -> dict[str, Any]:
        return {"ends_s": json.loads(process.communicate()[0]), "threads": threads}

    return begin, end


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "settle", lambda longest_s: 0.0)


def test_the_ratio_is_that_of_steps_per_second(quiet: None, tmp_path: Path) -> None:
    """Steps of 40 ms over steps of 20 ms are half as many."""
    sides = {"two": ticking(0.04, 40), "one": ticking(0.02, 80)}
    told = measure_pair(sides, tmp_path, over="one", window_s=2.0, turn_s=1.0, first="one")
    assert told["ratio"] == pytest.approx(0.5, rel=0.15)
    assert (told["started_first"], told["two"]["steps"], told["one"]["steps"]) == ("one", 40, 80)


def test_sides_with_unequal_threads_are_not_compared(quiet: None, tmp_path: Path) -> None:
    sides = {"two": ticking(0.01, 30), "one": ticking(0.01, 30, threads=2)}
    with pytest.raises(SystemExit, match="Unequal thread counts"):
        measure_pair(sides, tmp_path, over="one", window_s=0.5, turn_s=0.5, first="two")


def test_each_side_is_started_first_in_every_other_pair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = []

    def pair(sides: Any, folder: Path, **options: Any) -> dict[str, Any]:
        first.append(options["first"])
        return {"ratio": float(len(first))}

    monkeypatch.setattr(scaling, "measure_pair", pair)
    options = argparse.Namespace(pairs=3, window_s=1.0)
    told = measure_pairs({"two": ticking(1, 1), "one": ticking(1, 1)}, tmp_path, options, over="one", turn_s=1.0)
    assert first == ["two", "one", "two"]
    assert told["ratio"] == {"median": 2.0, "min": 1.0, "max": 3.0}


@pytest.mark.heavy
def test_the_bare_loop_on_two_ranks_counts_both(tmp_path: Path) -> None:
    case = compose_case("task=train", "model=resnet50", "scale=tiny", "vendor=cpu", "data=synthetic", "measure=smoke")
    plan = tmp_path / "plan.json"
    plan_of(case, warmup_steps=6, window_s=0.5).save(plan)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "benchmarks.bare"]
    done = subprocess.run(
        [sys.executable, *launcher, str(plan), "speed"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    begun, told = done.stdout.splitlines()
    found = json.loads(told)
    assert begun == "window begins" and len(found["ends_s"]) == found["steps"]
    training = case.model.training
    per_step = 2 * training.batch_size * training.gradient_accumulation_steps
    assert found["samples_per_second"] * found["seconds"] == pytest.approx(found["steps"] * per_step)
