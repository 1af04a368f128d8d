"""What a job runs: the case's command once, with the environment of a command typed by hand, ended in good order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.sweeping import case_job
from runner.sweeping.case_job import run_case_job
from runner.sweeping.job_files import FOLDER, CaseFiles, JobCase, JobList

TELLS = "import os, signal; print(os.environ.get('OMP_NUM_THREADS'), signal.getsignal(signal.SIGUSR2), os.getcwd())"
WAITS = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(130)); print(1); time.sleep(60)"


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep's folder whose commands are Python's own."""
    monkeypatch.setattr(case_job, "python", lambda module, *words: [sys.executable, *words])
    for name in ("SLURM_PROCID", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / FOLDER).mkdir()
    return tmp_path


def given(sweep: Path, script: str, **about: bool) -> SimpleNamespace:
    listed = JobList(directory=str(sweep), environment={"OMP_NUM_THREADS": None})
    listed.cases[3] = JobCase(words=["-c", script], **about)
    listed.save(sweep / FOLDER)
    return SimpleNamespace(sweep=str(sweep), case=3)


def files(sweep: Path) -> CaseFiles:
    return CaseFiles(sweep / FOLDER, 3)


def test_the_command_runs_as_if_typed(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """joblib and Ray give their workers fewer threads, which would be measured; submitit's signal would kill it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert run_case_job(given(sweep, TELLS)) == 0
    assert files(sweep).log.read_text() == f"None {int(signal.SIG_IGN)} {sweep}\n"
    ended = files(sweep).ended
    assert ended is not None and ended["exit_code"] == 0 and 0 < ended["took_s"] < 60


def test_what_it_runs_is_for_nobody_elses_eyes(sweep: Path) -> None:
    given(sweep, "pass")
    assert (sweep / FOLDER / "cases.json").stat().st_mode & 0o777 == 0o600


def test_a_jobs_number_is_the_batch_systems(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert case_job.job_number() is None
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    assert case_job.job_number() == "14"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert case_job.job_number() == "12_2", "as squeue names a job of an array"


@pytest.mark.parametrize("spread", [False, True])
def test_a_further_task_runs_the_command_only_for_a_case_of_several_nodes(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, spread: bool
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert run_case_job(given(sweep, "print('agent')", spread=spread)) == 0
    log = files(sweep).folder / "task1.log"
    assert log.exists() is spread
    assert files(sweep).started is None, "the first task speaks for the case"


@pytest.mark.parametrize("how", ["cancel", "signal"])
def test_a_job_that_must_end_ends_its_case_in_good_order(sweep: Path, how: str) -> None:
    def end() -> None:
        while not files(sweep).log.exists():
            time.sleep(0.05)
        time.sleep(0.5)
        if how == "cancel":
            (sweep / FOLDER / "cancel").touch()
        else:
            os.kill(os.getpid(), signal.SIGUSR2)

    before = signal.getsignal(signal.SIGUSR2)
    thread = threading.Thread(target=end)
    thread.start()
    assert run_case_job(given(sweep, WAITS)) == 130
    thread.join()
    assert signal.getsignal(signal.SIGUSR2) == before


def test_a_job_that_begins_after_the_end_runs_nothing(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(sweep))
    (sweep / FOLDER / "cancel").touch()
    assert run_case_job(given(sweep, "print('ran')", turn=True)) == 130
    assert not files(sweep).log.exists()


def test_a_command_killed_by_a_signal_says_so_as_shells_do(sweep: Path) -> None:
    assert run_case_job(given(sweep, "import os; os.kill(os.getpid(), 9)")) == 137


def test_a_machine_that_does_not_see_the_sweep_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match=r"all machines share with run\.root=FOLDER"):
        run_case_job(SimpleNamespace(sweep=str(tmp_path / "elsewhere"), case=0))
    assert "run.root=FOLDER" in capsys.readouterr().err, "Hydra shows nobody what a job raised"
