"""One attempt at a batch size, in a process of its own that is ended when it takes more than it may."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from runner.config.checks import on_host
from runner.config.division import Division
from runner.config.schema import Case
from runner.console.console import Console
from runner.core.errors import OutOfMemoryError, TouchstoneError
from runner.core.interrupts import Interrupts
from runner.core.lock import let_go
from runner.launch.folder import claim
from runner.record.names import number
from runner.record.values import GIB


def run_attempt(
    case: Case, folder: Path, *, division: Division, forked: bool, interrupts: Interrupts
) -> TouchstoneError | None:
    """Run a short case in a folder of its own, silently and without filing it."""
    from runner.launch.run_case import CaseRunner

    place = claim(case, folder)
    console = Console(case, terminal=False, file=io.StringIO())
    runner = CaseRunner(
        case=case, folder=place, division=division, console=console, forked=forked, interrupts=interrupts
    )
    runner.guard = memory_guard(case)
    try:
        return runner.part(place, lambda: None)
    finally:
        let_go(place)


def memory_guard(case: Case) -> Callable[[int], TouchstoneError | None] | None:
    """Ends a worker on the host that takes more than the limit: the host itself would not, and would suffer."""
    limit = case.tuning.memory_limit_gib
    if limit is None or not on_host(case):
        return None

    def look(pid: int) -> TouchstoneError | None:
        taken = resident_gib(pid)
        if taken <= limit:
            return None
        return OutOfMemoryError(
            f"The worker was ended: it took {number(taken)} GiB of the {limit:g} GiB of tuning.memory_limit_gib. "
            "Lower the batch size, or raise the limit."
        )

    return look


def resident_gib(pid: int) -> float:
    """Resident memory of a process and all below it; 0 where it has ended."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / GIB
