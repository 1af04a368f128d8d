"""One attempt at a case: start the worker, follow its events, classify its end. Waits asleep, never busily."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from runner.cluster.place import NodePlace
from runner.config.schema import Case
from runner.core.errors import (
    BUS_ERROR,
    InterruptedRunError,
    OutOfMemoryError,
    TimedOutError,
    TouchstoneError,
    WorkerCrashedError,
    says_out_of_memory,
)
from runner.core.events import Event, EventTail, Name
from runner.core.redact import without_names
from runner.core.storage import could_not_write, full
from runner.launch.processes import WORKER, Forked, end_left, end_worker, start_worker

TICK_S = 0.25
"""Between two looks at the event files."""
TAIL_LINES = 8
"""Of worker.log, shown when a worker crashed."""


def attempt(
    case: Case,
    folder: Path,
    environment: dict[str, str],
    *,
    forked: bool,
    on_event: Callable[[Event], None],
    on_tick: Callable[[], None],
    module: str = WORKER,
    guard: Callable[[int], TouchstoneError | None] | None = None,
    place: NodePlace | None = None,
) -> TouchstoneError | None:
    """Run the worker, or another module in its place, to its end; with a place, that node's share of it.

    Every `TICK_S`, `guard` is asked whether the worker, by its process, must end; it says why, or None.

    Returns:
        What went wrong; None when the worker did all it had to.
    """
    tail = EventTail(folder)
    told: list[Event] = []

    def follow() -> None:
        for event in tail.new():
            if event.name == Name.ERROR:
                told.append(event)
            on_event(event)

    reason: TouchstoneError | None = None
    worker = start_worker(case, folder, environment, forked=forked, module=module, place=place)
    deadline = time.monotonic() + (case.run.timeout_s or float("inf"))
    try:
        while not worker.wait(TICK_S):
            follow()
            on_tick()
            reason = guard(worker.pid) if guard is not None else None
            if reason is None and time.monotonic() > deadline:
                reason = _timed_out(case)
            if reason is not None:
                break
    except KeyboardInterrupt:
        reason = InterruptedRunError(interrupted(folder))
    if reason is not None:
        end_worker(worker)
        end_left(worker, folder, module)
        follow()
        return reason
    left = end_left(worker, folder, module)
    follow()
    if told:
        return _as_error(told[0])
    if worker.returncode == 0:
        return None
    # A single rank that is a process of its own leaves nothing but its data loader's.
    orphaned = left > 0 and (isinstance(worker, Forked) or (case.topology.ranks != 1 and (worker.returncode or 0) < 0))
    return _orphaned(worker.returncode) if orphaned else _crash(worker.returncode, folder)


def _timed_out(case: Case) -> TouchstoneError:
    return TimedOutError(
        f"The worker was still running after run.timeout_s={case.run.timeout_s:g} seconds and was ended. Raise "
        "run.timeout_s, or look at worker.log for what it waited on."
    )


def interrupted(folder: Path) -> str:
    """What is said of a run that somebody ended, and how to go on with it."""
    return f"Interrupted. What was measured so far is kept. {_how_to_go_on(folder)}"


def _how_to_go_on(folder: Path) -> str:
    if (folder / "checkpoints" / "last.ckpt").exists():
        return "Go on from the last evaluation with the same command and resume=true: python -m runner … resume=true"
    return "Nothing was saved that could be gone on from: give the same command again to start afresh."


def _as_error(event: Event) -> TouchstoneError:
    from runner.core.errors import BY_NAME

    return BY_NAME.get(event.value["class"], WorkerCrashedError)(event.value["message"])


def _orphaned(returncode: int | None) -> TouchstoneError:
    """What is said when the ranks went on without the process that had started them."""
    return WorkerCrashedError(
        f"The process that had started the worker's ranks (torchrun's agent, or a sweep's server) was ended with "
        f"status {returncode}. The ranks still ran, and were ended too. If nobody did that, the machine may have run "
        "out of memory."
    )


def _crash(returncode: int | None, folder: Path) -> TouchstoneError:
    """What ended a worker that could not say so itself, by its status and its last words."""
    if could_not_write(returncode, folder):
        return full(folder)
    log = folder / "worker.log"
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if log.exists() else []
    tail = " The end of worker.log:\n" + without_names("\n".join(lines)) if lines else ""
    if returncode is not None and returncode < 0:
        how = f"was killed by {signal.Signals(-returncode).name}"
        hint = " If nobody did that, the machine may have run out of memory." if returncode == -signal.SIGKILL else ""
    else:
        how, hint = f"ended with status {returncode} without saying why", ""
    if returncode == -signal.SIGBUS:
        return WorkerCrashedError(f"The worker {BUS_ERROR}{tail}")
    limit = _address_space_limit()
    if says_out_of_memory("\n".join(lines)) or (limit and returncode == -signal.SIGSEGV):
        return OutOfMemoryError(
            f"Not enough memory: the worker {how}.{limit} Lower model.train.batch_size (raise "
            f"model.train.gradient_accumulation_steps to keep the global batch), or use scale=tiny.{tail}"
        )
    return WorkerCrashedError(f"The worker {how}.{hint}{limit}{tail}")


def _address_space_limit() -> str:
    """A sentence on `ulimit -v` where it is set: what runs into it seldom says so."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return ""
    return (
        f" The shell limits address space to {soft / 2**30:.1f} GiB (ulimit -v); training needs far more than it uses."
    )
