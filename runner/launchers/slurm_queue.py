"""What SLURM says of jobs: squeue of those that it still has, sacct, with accounting, of their end."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runner.core.errors import HardwareError, OutOfMemoryError, TimedOutError, TouchstoneError, WorkerCrashedError
from runner.launchers.slurm_options import ask

OVER = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
        *("REVOKED", "TIMEOUT"),
    }
)
"""States in which a job stays (squeue(1), JOB STATE CODES); in every other one it may still end well."""
NEVER = ("launch failed requeued held", "DependencyNeverSatisfied", "JobHeldAdmin")
"""Reasons for which a pending job waits until somebody does something about it."""


@dataclass(kw_only=True, slots=True, frozen=True)
class JobState:
    """One job, as squeue has it."""

    state: str
    reason: str = ""
    """Why it waits, or where it runs."""

    @property
    def over(self) -> bool:
        """Whether it will not run any more."""
        return self.state in OVER

    @property
    def stuck(self) -> bool:
        """Whether it waits for a person."""
        return self.state == "PENDING" and any(one in self.reason for one in NEVER)


def states(jobs: Iterable[str]) -> dict[str, JobState] | None:
    """The jobs that SLURM still has, by number; None when it does not answer.

    A job that is absent has ended a while ago: without accounting SLURM forgets it (MinJobAge).
    """
    wanted = {*jobs}
    told = _ask("squeue", "--noheader", "--array", "--me", "--states=all", "--format=%i|%T|%r")
    if told is None:
        return None
    found: dict[str, JobState] = {}
    for line in told.splitlines():
        number, _, rest = line.partition("|")
        state, _, reason = rest.partition("|")
        if number in wanted:
            found[number] = JobState(state=state, reason=reason)
    return found


def remembered(job: str) -> str | None:
    """What sacct says of a job's end: its state, and what it ended with; None without accounting."""
    told = _ask("sacct", "-X", "-n", "-P", "-j", job, "-o", "State,ExitCode,NodeList")
    lines = (told or "").splitlines()
    if not lines:
        return None
    state, code, nodes = [*lines[-1].split("|"), "", ""][:3]
    return f"{state} (status {code}, on {nodes})" if code else state


def cancel(jobs: Sequence[str], *, only_pending: bool = False) -> None:
    """Take jobs out of the queue, or end them."""
    if jobs:
        _ask("scancel", *(["--state=PENDING"] if only_pending else []), *jobs)


def available() -> bool:
    """Whether SLURM's commands are on this machine."""
    return all(shutil.which(name) for name in ("sbatch", "squeue", "scancel"))


def cause_of(job: str, state: JobState | None, log: str, longer: str) -> TouchstoneError:
    """Why a job left no result, as far as SLURM tells.

    Args:
        job: its number.
        state: what squeue said of it last; None when it knows it no more.
        log: where what it said can be read.
        longer: what gives a job more time.
    """
    told = remembered(job) or (state.state if state else None)
    said = f"SLURM says: {told}." if told else "SLURM has no accounting here and does not know it any more."
    text = f"Job {job} ended without a result. {said} What it said: {log}."
    if told and told.startswith("TIMEOUT"):
        return TimedOutError(f"{text} Give it longer with {longer}.")
    if told and told.startswith("OUT_OF_MEMORY"):
        return OutOfMemoryError(f"{text} Ask for more of the host's memory with hydra.launcher.mem_gb=GB.")
    return WorkerCrashedError(f"{text} The same command with resume=true runs what is missing.")


def _ask(*command: str) -> str | None:
    """What one of SLURM's commands answers; None where it does not."""
    try:
        return ask(*command)
    except HardwareError:
        return None
