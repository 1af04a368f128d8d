"""Which part of a case a process of SLURM has: it submits, is the head, or is an agent."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case

from runner.core.errors import ConfigurationError, HardwareError
from runner.launchers import slurm, slurm_options
from runner.launchers.slurm import Slurm
from runner.launchers.slurm_job import SlurmJob
from runner.launchers.slurm_options import SlurmOptions

ANSWERS = {
    ("scontrol", "show", "hostnames"): "gpu-03\ngpu-07\n",
    ("scontrol", "show", "node"): "NodeName=gpu-03 Arch=x86_64 NodeAddr=10.1.0.3 NodeHostName=gpu-03 State=ALLOCATED",
}
STEP = {
    "SLURM_JOB_ID": "9",
    "SLURM_STEP_NODELIST": "gpu-[03,07]",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "1",
    "TOUCHSTONE_CLUSTER_KEY": "ab",
}


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slurm, "unavailable_reason", staticmethod(lambda: None))
    monkeypatch.setattr(slurm_options, "ask", lambda *command: ANSWERS[command[:3]])
    for name in STEP:
        monkeypatch.delenv(name, raising=False)


def _case(*, nodes: int = 2, vendor: dict[str, Any] | None = None, **options: Any) -> Any:
    case = make_case(topology={"name": "cluster", "nodes": nodes, "devices": 8}, vendor=vendor or {})
    case.launcher = SlurmOptions(name="slurm", **options)
    return case


def _launcher(**options: Any) -> Slurm:
    return Slurm(_case(**options), lambda _: None)


def _inside(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    for name, value in {**STEP, **changes}.items():
        if value is not None:
            monkeypatch.setenv(name, value)


def test_task_0_runs_the_case_and_listens_where_the_others_look(monkeypatch: pytest.MonkeyPatch) -> None:
    _inside(monkeypatch, SLURM_PROCID="0")
    head = _launcher()
    assert head.instead(["model=bert"], Path("x"), vendor_named=False) is None
    assert head.listens_at() == "10.1.0.3:29400"
    assert _launcher(address="head:7000").listens_at() == "head:7000"
    assert _launcher(address="head", port=7001).listens_at() == "head:7001"


def test_a_further_task_is_an_agent_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    _inside(monkeypatch)
    called: list[list[str]] = []
    monkeypatch.setattr(slurm.subprocess, "call", lambda command: called.append(command) or 0)
    instead = _launcher().instead(["model=bert"], Path("x"), vendor_named=False)
    assert instead is not None and instead() == 0
    assert called[0][3:6] == ["runner.node", "10.1.0.3:29400", "1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SLURM_STEP_NUM_TASKS": "16"}, "16 tasks on 2 nodes"),
        ({"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "1"}, "1 tasks on 1 nodes"),
        ({"TOUCHSTONE_CLUSTER_KEY": None}, "export TOUCHSTONE_CLUSTER_KEY"),
    ],
)
def test_a_step_that_does_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], said: str
) -> None:
    _inside(monkeypatch, **changes)
    with pytest.raises(ConfigurationError, match=said):
        _launcher().instead(["model=bert"], Path("x"), vendor_named=True)


def test_outside_an_allocation_the_vendor_must_be_named() -> None:
    with pytest.raises(ConfigurationError, match="looked for on this one"):
        _launcher().instead(["model=bert"], Path("x"), vendor_named=False)


def test_without_slurm_nothing_is_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slurm, "unavailable_reason", staticmethod(lambda: "no srun"))
    with pytest.raises(HardwareError, match="no srun"):
        _launcher().instead(["model=bert"], Path("x"), vendor_named=True)


def test_what_is_submitted_asks_for_the_nodes_and_their_devices(tmp_path: Path) -> None:
    gpus = {"name": "nvidia", "title": "NVIDIA GPU", "communication_backend": "nccl", "meters": ("nvml",)}
    case = _case(vendor=gpus, partition="gpu", time_minutes=90, options=("--qos=high",), requeue=True)
    lines = SlurmJob(case, ["model=bert", "vendor.chip='H100 SXM 80GB'"], tmp_path / "run", print).script().splitlines()
    asked = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    for wanted in ("--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=8", "--time=90", "--signal=TERM@120"):
        assert wanted in asked
    assert {"--partition=gpu", "--qos=high", "--requeue", "--open-mode=append"} <= set(asked)
    (srun,) = [line for line in lines if line.startswith("srun")]
    assert srun.startswith("srun --ntasks-per-node=1 ") and "vendor.chip='H100 SXM 80GB'" in shlex.split(srun)
    assert srun.endswith(f"hydra.run.dir={tmp_path / 'run'} resume=true")
    assert any("scontrol requeue" in line for line in lines)
    tried = _case()
    tried.emulate = True
    assert "--gpus-per-node" not in SlurmJob(tried, [], tmp_path / "run", print).script()
