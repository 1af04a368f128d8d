"""What SLURM says of jobs, and what is made of it. Its commands are played by scripts that answer as 22.05 does."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.core.errors import OutOfMemoryError, TimedOutError, WorkerCrashedError
from runner.launchers import slurm_queue
from runner.launchers.slurm_queue import JobState


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, but for the shell."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def play(folder: Path, name: str, answer: str, status: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho \"$@\" >> {folder}/asked\nprintf '%s' '{answer}'\nexit {status}\n")
    path.chmod(0o755)


def test_squeue_is_read_by_number(commands: Path) -> None:
    play(
        commands, "squeue", "12_0|RUNNING|None\n12_1|PENDING|launch failed requeued held\n99|FAILED|a|b\n7|RUNNING|x\n"
    )
    assert slurm_queue.states(["12_0", "12_1", "99", "100"]) == {
        "12_0": JobState(state="RUNNING", reason="None"),
        "12_1": JobState(state="PENDING", reason="launch failed requeued held"),
        "99": JobState(state="FAILED", reason="a|b"),
    }
    assert "--states=all" in (commands / "asked").read_text()


def test_no_answer_is_not_no_job(commands: Path) -> None:
    """A controller that restarts has lost no job."""
    assert slurm_queue.states(["1"]) is None
    play(commands, "squeue", "", status=1)
    assert slurm_queue.states(["1"]) is None
    play(commands, "squeue", "")
    assert slurm_queue.states(["1"]) == {}


@pytest.mark.parametrize(
    ("state", "over", "stuck"),
    [
        (JobState(state="PENDING", reason="Resources"), False, False),
        (JobState(state="PENDING", reason="(launch failed requeued held)"), False, True),
        (JobState(state="PENDING", reason="DependencyNeverSatisfied"), False, True),
        (JobState(state="COMPLETING"), False, False),
        (JobState(state="REQUEUED"), False, False),
        (JobState(state="NODE_FAIL"), True, False),
        (JobState(state="CANCELLED"), True, False),
    ],
)
def test_only_an_end_is_an_end(state: JobState, over: bool, stuck: bool) -> None:
    assert (state.over, state.stuck) == (over, stuck)


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        ("TIMEOUT|0:0|n1\n", TimedOutError, "hydra.launcher.timeout_min=MINUTES"),
        ("OUT_OF_MEMORY|0:125|n1\n", OutOfMemoryError, "hydra.launcher.mem_gb=GB"),
        ("CANCELLED by 0|0:9|n2\n", WorkerCrashedError, "CANCELLED by 0 (status 0:9, on n2)"),
    ],
)
def test_accounting_names_the_cause(commands: Path, told: str, kind: type[Exception], words: str) -> None:
    play(commands, "sacct", told)
    error = slurm_queue.cause_of("12_1", None, "/sweep/.jobs/1/case.log", "hydra.launcher.timeout_min=MINUTES")
    assert type(error) is kind
    assert words in str(error) and "Job 12_1" in str(error) and "/sweep/.jobs/1/case.log" in str(error)


def test_without_accounting_the_queue_is_what_there_is(commands: Path) -> None:
    play(commands, "sacct", "Slurm accounting storage is disabled", status=1)
    known = slurm_queue.cause_of("5", JobState(state="TIMEOUT"), "log", "x=1")
    assert isinstance(known, TimedOutError) and "SLURM says: TIMEOUT" in str(known)
    assert "no accounting here and does not know it any more" in str(slurm_queue.cause_of("5", None, "log", "x=1"))


def test_jobs_are_cancelled_by_number(commands: Path) -> None:
    play(commands, "scancel", "")
    slurm_queue.cancel(["3_0", "3_1"], only_pending=True)
    slurm_queue.cancel(["3_0"])
    slurm_queue.cancel([])
    assert (commands / "asked").read_text().splitlines() == ["--state=PENDING 3_0 3_1", "3_0"]
