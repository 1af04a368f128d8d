"""Sweeps whose cases are jobs of a real SLURM of two nodes: each is accounted for, whatever happens to its job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import environment
from slurm_machine import SlurmMachine

SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=10")
TRAINING = ("task=train", "model=bert", "scale=tiny", "measure=smoke", "seed=1,2,3,4")
LONG = ("measure.window.min_s=60", "measure.window.max_s=90")
WITHIN_S = 280

pytestmark = pytest.mark.heavy


class Sweep:
    """A sweep that is running."""

    def __init__(self, machine: SlurmMachine, root: Path, *words: str, tracking: str = "none") -> None:
        command = [sys.executable, "-m", "runner", "-m", *words, "vendor=cpu", f"run.root={root}"]
        self.root = root
        self.log = root.with_suffix(".out").open("w+")
        self.process = subprocess.Popen(
            [*command, f"tracking={tracking}"],
            env=environment() | machine.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def wait(self) -> int:
        try:
            return self.process.wait(WITHIN_S)
        finally:
            self.process.kill()

    @property
    def out(self) -> str:
        self.log.seek(0)
        return self.log.read()

    @property
    def folder(self) -> Path:
        """The newest sweep under the root."""
        return max(self.root.glob("*/*_sweep*"), key=lambda path: path.stat().st_ctime)

    def job(self, number: int) -> dict[str, Any]:
        """What the job of a case said when it began, once it is in its run folder."""
        until(lambda: any(self.root.glob(f"*/*/.jobs/{number}/placed.json")))
        told: dict[str, Any] = json.loads((self.folder / ".jobs" / str(number) / "started.json").read_text())
        return told

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("[0-9]*/report.json"))]


def until(true: Callable[[], bool], within_s: float = 120) -> None:
    last_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < last_s, "it never came"
        time.sleep(0.2)


def test_a_killed_task_is_a_recorded_failure_and_a_resume_completes(slurm: SlurmMachine, tmp_path: Path) -> None:
    """Without accounting, where submitit itself would wait for ever."""
    sweep = Sweep(slurm, tmp_path / "root", *TRAINING, *SLURM, tracking="mlflow")
    os.kill(sweep.job(1)["pid"], signal.SIGKILL)
    assert sweep.wait() == 10, sweep.out
    reports = sweep.reports()
    assert [report["status"] for report in reports] == ["done", "failed", "done", "done"], sweep.out
    error = reports[1]["error"]
    assert error["class"] == "WorkerCrashedError" and f"Job {sweep.job(1)['job']} ended without" in error["message"]
    assert "3 of 4 cases done" in sweep.out
    first = sweep.folder
    assert len({filed_under(path) for path in first.glob("[0-9]*")}) == 1, "all belong to one run in MLflow"
    again = Sweep(slurm, tmp_path / "root", *TRAINING, *SLURM, "resume=true", tracking="mlflow")
    assert again.wait() == 0, again.out
    assert again.folder != first
    assert [path.name.partition("_")[0] for path in sorted(again.folder.glob("[0-9]*"))] == ["1"], again.out
    assert "4 of 4 cases done" in again.out


def filed_under(run_folder: Path) -> str | None:
    """The run of the sweep in MLflow that a case's run is a child of."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{run_folder.parents[2] / 'mlflow.db'}")
    cursor = json.loads((run_folder / "tracking.json").read_text())
    parent: str | None = client.get_run(cursor["run_id"]).data.tags.get("mlflow.parentRunId")
    assert parent, run_folder
    return parent


def test_with_accounting_a_job_out_of_time_says_so(slurm_with_accounting: SlurmMachine, tmp_path: Path) -> None:
    """One job is taken out of the queue before it runs: nothing of it is there but SLURM's memory."""
    machine = slurm_with_accounting
    machine.call("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    try:
        one_by_one = ("hydra.launcher.array_parallelism=1", "task=inspect", "model=bert,gpt2", "scale=tiny")
        sweep = Sweep(machine, tmp_path / "root", *SLURM, *one_by_one)
        until(lambda: any(sweep.root.glob("*/*/.jobs/submitted.json")))
        jobs = json.loads((sweep.folder / ".jobs" / "submitted.json").read_text())
        machine.call("scancel", jobs["1"])
        assert sweep.wait() == 10, sweep.out
    finally:
        machine.call("scontrol", "update", "nodename=n2", "state=resume")
    reports = sweep.reports()
    assert [report["status"] for report in reports] == ["done", "failed"], sweep.out
    assert "SLURM says: CANCELLED" in reports[1]["error"]["message"]


def test_ctrl_c_cancels_the_jobs(slurm: SlurmMachine, tmp_path: Path) -> None:
    sweep = Sweep(slurm, tmp_path / "root", *TRAINING, *LONG, *SLURM, "hydra.launcher.array_parallelism=1")
    sweep.job(0)
    sweep.process.send_signal(signal.SIGINT)
    assert sweep.wait() == 130, sweep.out
    (report,) = sweep.reports()
    assert (report["status"], report["exit_code"]) == ("killed", 130)
    assert "3 were not run" in sweep.out
    until(lambda: not slurm.call("squeue", "-h"))


def test_two_sweeps_beside_each_other_do_not_meet(slurm: SlurmMachine, tmp_path: Path) -> None:
    words = ("task=inspect", "model=bert,gpt2", "scale=tiny", *SLURM)
    both = [Sweep(slurm, tmp_path / "root", *words) for _ in range(2)]
    assert [sweep.wait() for sweep in both] == [0, 0], [sweep.out for sweep in both]
    folders = sorted((tmp_path / "root").glob("*/*_sweep*"))
    assert [len([*folder.glob("[0-9]*/report.json")]) for folder in folders] == [2, 2]


def test_an_unknown_partition_is_a_mistake_of_the_command_line(slurm: SlurmMachine, tmp_path: Path) -> None:
    words = ("task=inspect", "model=bert,gpt2", "scale=tiny", *SLURM, "hydra.launcher.partition=nowhere")
    sweep = Sweep(slurm, tmp_path / "root", *words)
    assert sweep.wait() == 2
    assert "invalid partition" in sweep.out.lower()
    assert [report["error"]["class"] for report in sweep.reports()] == ["ConfigurationError"] * 2
