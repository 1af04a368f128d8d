"""Why a case's job left no result, as far as the batch system, the launcher and their logs tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigurationError, TouchstoneError, WorkerCrashedError
from runner.launchers import slurm_queue
from runner.launchers.slurm_queue import JobState
from runner.sweeping.follow import Followed
from runner.sweeping.lost import last_words

LONGER = "hydra.launcher.timeout_min=MINUTES"
"""What gives a job of a sweep more time."""


def cause_of_queued(one: Followed, job: str, state: JobState | None, log: Path) -> TouchstoneError:
    """Why a job of SLURM's left nothing; one that waits for a person is taken out of the queue.

    Args:
        one: the case.
        job: the job's number.
        state: what squeue said of it last; None when it knows it no more.
        log: where more is said.
    """
    if state is not None and state.stuck and one.files.started is None:
        slurm_queue.cancel([job])
        return WorkerCrashedError(f"Job {job} was held back ({state.reason}) and was taken out of the queue.")
    return slurm_queue.cause_of(job, state, str(log), LONGER)


def cause_here(one: Followed, launcher: str, log: Path) -> TouchstoneError:
    """Why a job that no queue knows left nothing."""
    started = one.files.started
    if started is None:
        said = f"{last_words(log).rstrip('.')}."
        kind = ConfigurationError if "invalid" in said.lower() else WorkerCrashedError
        return kind(f"hydra/launcher={launcher} did not start the case: {said} All of it: {log}.")
    where = f"process {started.get('pid')} on {started.get('host')}"
    return WorkerCrashedError(
        f"The job of the case ({where}) is gone and left no result. What it said: {log}. The same command with "
        "resume=true runs what is missing."
    )


def log_of(one: Followed, job: str | None, settings: Mapping[str, Any], sweep: Path) -> Path:
    """Where more is said of a case that left nothing: by itself, by its job, or by the launcher."""
    given = str(settings.get("submitit_folder", ""))
    kept = sweep / ".submitit" / str(job) if "${" in given else Path(given.replace("%j", str(job)))
    of_job = sorted(kept.glob("*_log.err")) if job is not None and given and kept.is_dir() else []
    there = [path for path in (one.files.log, *of_job) if path.exists()]
    return there[0] if there else one.files.folder.parent / "launcher.log"
