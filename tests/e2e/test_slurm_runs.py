"""Real runs through SLURM: one job over two nodes, its time limit, and who cancels it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slurm_machine import SlurmMachine

from runner.record.report import Report, load_report
from runner.record.step_rows import read_rows

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(500)]
FIXED = ("vendor=cpu", "scale=tiny", "tracking=none", "launcher=slurm", "model=bert")
TWO = ("topology=cluster", "topology.nodes=2", "topology.devices=1")


def _start(machine: SlurmMachine, root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "runner", *FIXED, f"run.root={root}", *arguments],
        env={**os.environ, **machine.environment, "OMP_NUM_THREADS": "1", "TOUCHSTONE_LANG": "en"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _folder(root: Path) -> Path:
    (found,) = (path.parent for path in root.glob("*/*/run.yaml"))
    return found


def _report(root: Path) -> Report:
    return load_report(_folder(root) / "report.json")


def _wait_for(root: Path, text: str, timeout_s: float = 200.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not any(text in log.read_text() for log in root.glob("*/*/events/rank0.log")):
        assert time.monotonic() < deadline_s, f"no {text}"
        time.sleep(0.2)


def test_one_job_over_two_nodes(slurm: SlurmMachine, tmp_path: Path) -> None:
    run = _start(slurm, tmp_path, *TWO, "measure=smoke")
    said, _ = run.communicate(timeout=400)
    assert run.returncode == 0, said
    assert "was submitted" in said and "node 1" in said
    report = _report(tmp_path)
    assert report.status == "done" and report.case["nodes"] == 2
    assert {row["rank"] for row in read_rows(_folder(tmp_path) / "steps.csv")} == {"0", "1"}
    assert slurm.call("squeue", "--noheader").strip() == "", "the job has left the queue"


def test_a_single_machine_is_submitted_too(slurm: SlurmMachine, tmp_path: Path) -> None:
    run = _start(slurm, tmp_path, "measure=smoke")
    said, _ = run.communicate(timeout=400)
    assert run.returncode == 0, said
    assert _report(tmp_path).case["topology"] == "single"


def test_before_its_time_limit_a_run_ends_with_its_checkpoint(slurm: SlurmMachine, tmp_path: Path) -> None:
    long = ("task=converge", "model.train.quality.targets.mlm_accuracy=0.99", "model.train.max_train_samples=9000000")
    run = _start(slurm, tmp_path, *TWO, *long, "launcher.time_minutes=3", "launcher.end_s=60")
    said, _ = run.communicate(timeout=450)
    assert run.returncode == 130, said
    assert _report(tmp_path).status == "killed"
    assert (_folder(tmp_path) / "checkpoints/last.ckpt").exists(), "the last evaluation's state is kept"


def test_ctrl_c_cancels_the_job(slurm: SlurmMachine, tmp_path: Path) -> None:
    run = _start(slurm, tmp_path, *TWO, "measure=standard", "measure.window.min_s=300")
    _wait_for(tmp_path, '"STEP_END"')
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 130, said
    assert slurm.call("squeue", "--noheader").strip() == ""
    assert _report(tmp_path).status == "killed"
