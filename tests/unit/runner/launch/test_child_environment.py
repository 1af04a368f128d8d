"""What a child process of the engine sees: no surrounding job, and the engine's own packages before all others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from hardware.child import ROOT, environment_of_child, python
from runner.core.errors import DependencyError
from runner.launch.processes import Spawned
from runner.measure.context import ROOT_VARIABLE
from runner.worker.main import check_root

OWN = Path(runner.__file__).resolve().parents[1]
JOB = {
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "NODE_RANK": "1",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
    "SLURM_NTASKS": "4",
    "SLURM_JOB_NAME": "train",
    "OMPI_COMM_WORLD_RANK": "3",
    "PMI_RANK": "3",
    "PMIX_RANK": "3",
    "TORCHELASTIC_RUN_ID": "abc",
    "PET_NNODES": "2",
    "GROUP_RANK": "1",
    "RANK_TABLE_FILE": "/job/table.json",
    "LSB_JOBID": "1",
}
OURS = {"NCCL_ALGO": "Ring", "OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1", "LOCALE": "C", "OMPI_CC": "gcc"}


def test_a_worker_does_not_see_the_job_around_the_engine() -> None:
    seen = environment_of_child({}, JOB | OURS)
    assert not seen.keys() & JOB.keys()
    assert seen.items() >= OURS.items()


def test_a_worker_sees_what_the_engine_set() -> None:
    assert environment_of_child({"MASTER_PORT": "1"}, JOB)["MASTER_PORT"] == "1"


def test_the_engines_folder_is_searched_first_and_no_entry_means_the_working_directory() -> None:
    path = os.pathsep.join(["", "/a", str(ROOT), "/b", ""])
    assert environment_of_child({}, {"PYTHONPATH": path})["PYTHONPATH"] == os.pathsep.join([str(OWN), "/a", "/b"])


@pytest.fixture
def colliding(tmp_path: Path) -> Path:
    """A working directory in which everything has the engine's names."""
    for name in ("models.py", "hardware.py"):
        (tmp_path / name).write_text("raise RuntimeError('not this one')\n")
    for name in ("runner", "conf"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not this one')\n")
    return tmp_path


def test_a_started_worker_takes_its_own_modules(
    colliding: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(colliding)
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "log"
    program = python("any")[:-2]  # the interpreter with its options
    told = "import os, runner, models, conf, hardware; print(runner.__file__, os.environ.get('SLURM_NTASKS'))"
    worker = Spawned([*program, "-c", told], {}, log)
    assert worker.wait(60) and worker.returncode == 0, log.read_text()
    assert log.read_text().split() == [runner.__file__, "None"]


def test_the_engine_itself_takes_its_own_modules(colliding: Path) -> None:
    """`python -m` puts the working directory first; `runner` itself cannot be mended from here."""
    for path in (colliding / "runner").iterdir():
        path.unlink()
    (colliding / "runner").rmdir()
    told = "import runner, models, hardware, conf; print(models.__file__, hardware.__file__, conf.__file__)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(colliding), str(OWN)])}
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=colliding, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(OWN / name / "__init__.py") for name in ("models", "hardware", "conf")], (
        done.stderr
    )


def test_a_name_that_was_taken_before_is_said(colliding: Path) -> None:
    (colliding / "models.py").write_text("")
    place = repr(str(colliding))
    told = f"import sys; sys.path.insert(0, {place}); import models; sys.path.remove({place}); import runner"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"The package models was imported from {colliding / 'models.py'}" in done.stderr


def test_a_worker_of_another_installation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(OWN))
    check_root(runner.__file__)
    with pytest.raises(DependencyError, match="imported the engine from /other, and was started by that in"):
        check_root("/other/runner/__init__.py")
