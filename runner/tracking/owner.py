"""`parent.pid`: which process looks after a run folder, and whether it still does."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

import psutil

FILE = "parent.pid"
CLOCK_TOLERANCE_S = 2.0
"""Start times are derived from the boot time, which moves when the clock is set."""

ParentState = Literal["alive", "gone", "elsewhere"]


def write_parent(folder: Path) -> None:
    """Write `<pid> <create time> <host>` of this process; before `run.yaml`, so that no run is ownerless."""
    folder.mkdir(parents=True, exist_ok=True)
    process = psutil.Process()
    (folder / FILE).write_text(f"{process.pid} {process.create_time()} {socket.gethostname()}\n")


def parent_state(folder: Path) -> ParentState:
    """Whether the process named in `parent.pid` still runs; `elsewhere` when it ran on another machine.

    Raises:
        ValueError: the file is malformed.
    """
    path = folder / FILE
    if not path.exists():
        return "gone"
    words = path.read_text().split()
    try:
        pid, create_time = int(words[0]), float(words[1])
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path} is malformed: {' '.join(words)!r}") from error
    if words[2:] and words[2] != socket.gethostname():
        return "elsewhere"
    return "alive" if _is_alive(pid, create_time) else "gone"


def _is_alive(pid: int, create_time: float) -> bool:
    """Whether `pid` is that very process: numbers are used again."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - create_time) <= CLOCK_TOLERANCE_S
        return same and (pid == os.getpid() or process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
