"""Who looks after a run folder: whoever holds its lock (`runner.core.lock`).

`parent.pid` beside it is for people, and says on which machine to look.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

from runner.core.lock import held_here, is_locked, take

FILE = "parent.pid"

ParentState = Literal["alive", "gone", "elsewhere"]


def write_parent(folder: Path) -> None:
    """Own a folder, made if need be, and write `<pid> <host>` of this process for people to read, and SLURM's job.

    Raises:
        OwnedError: another process owns it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not held_here(folder):
        take(folder)
    job = [_job()] if _job() else []
    (folder / FILE).write_text(" ".join([str(os.getpid()), socket.gethostname(), *job]) + "\n")


def parent_state(folder: Path) -> ParentState:
    """Whether the run in a folder goes on; `elsewhere` when it was another machine's, whose locks are not seen here.

    Of a job that SLURM has queued again the earlier part is over, wherever it ran.

    Raises:
        ValueError: `parent.pid` is malformed.
    """
    if is_locked(folder):
        return "alive"
    path = folder / FILE
    if not path.exists():
        return "gone"
    words = path.read_text(errors="replace").split()
    if not words or not words[0].isdigit():
        raise ValueError(f"{path} is malformed: {' '.join(words)[:80]!r}")
    host, job = (*words[1:], "", "")[:2]
    return "gone" if host in ("", socket.gethostname()) or (job and job == _job()) else "elsewhere"


def _job() -> str:
    """The SLURM job that this process belongs to; empty outside of one."""
    number = os.environ.get("SLURM_JOB_ID")
    return f"slurm:{number}" if number else ""
