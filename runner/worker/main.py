"""One rank of one case, in a process of its own: device, model, data, Trainer, callbacks.

`python -m runner.worker.main RUN_FOLDER`, or forked from the sweep's server. Ranks of a larger topology are started by
torchrun and find their place in its environment variables. All that is known of the case is `run.yaml`.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from pathlib import Path

import runner
from hardware.base import DeviceIdentity
from hardware.device import load_device
from hardware.sampling.client import SamplerClient
from runner.config.known import runtime_of
from runner.config.schema import Case, load_case
from runner.core.errors import (
    DependencyError,
    GateMissedError,
    HardwareError,
    TargetNotReachedError,
    WorkerCrashedError,
    classify,
)
from runner.core.events import EventWriter, Name
from runner.core.lock import wait_until_gone
from runner.core.redact import without_names
from runner.core.storage import CANNOT_WRITE
from runner.measure.context import PARENT_VARIABLE, ROOT_VARIABLE, Context, Mark
from runner.record.peaks.measured_peaks import take_along
from runner.record.task import task_of
from runner.worker.environment import environment

IDLE_S = 1.0
"""Seconds of rest for the idle power; only where a meter reads power.

The runtime has opened the device by then, and nothing was computed on it: a context is held, often at full clock.
"""
IDLE_MARKS = 3
"""Marks inside the rest, beside those at its edges."""


def main(folder: Path) -> int:
    """Run one rank; returns the exit code. Every failure is told as an ERROR event first."""
    rank = int(os.environ.get("RANK", "0"))
    events = EventWriter(folder / "events" / f"rank{rank}.log", rank=rank)
    began = time.monotonic()
    events.emit(Name.INIT_START, {"pid": os.getpid()})
    end_with_parent(folder)
    try:
        check_root(runner.__file__)
        case = load_case(folder)
        context = _connect(case, folder, rank, events)
        events.emit(Name.INIT_END, {"seconds": time.monotonic() - began})
        _run(context)
    except Exception as error:  # noqa: BLE001 -- whatever happened becomes a recorded result
        return tell_failure(error, events)
    return 0


def tell_failure(error: Exception, events: EventWriter) -> int:
    """Tell why this rank ends; returns its exit code. On a full disk not even that can be written."""
    cause = classify(error)
    told = {"class": type(cause).__name__, "message": without_names(str(cause)), "exit_code": cause.exit_code}
    try:
        traceback.print_exc()
        events.emit(Name.ERROR, told)
    except OSError:
        return CANNOT_WRITE
    return cause.exit_code


def _run(context: Context) -> None:
    """Run the task, then count what the model costs, also when it fell short of what it had to reach."""
    try:
        task_of(context.case).run(context)
    except (TargetNotReachedError, GateMissedError):
        _account(context)
        raise
    _account(context)


def _account(context: Context) -> None:
    """Count the model on the first rank; a model that cannot be counted does not undo its measurement."""
    if context.rank != 0 or not task_of(context.case).counts_model:
        return
    from runner.tasks.account import tell_account

    try:
        tell_account(context.case, context.events)
    except Exception as error:  # noqa: BLE001 -- operators without a formula, out-of-tree models: all end here
        traceback.print_exc()
        context.events.emit(Name.ACCOUNT, {"reason": f"the model could not be counted: {error}"})


def _connect(case: Case, folder: Path, rank: int, events: EventWriter) -> Context:
    local_rank, world = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    uses_device = task_of(case).on_device
    device = load_device(case.vendor, emulate=case.emulate, runtime=runtime_of(case) if uses_device else None)
    if not uses_device and device.unavailable_reason():
        device = load_device(case.vendor, emulate=True)
    device.connect()
    if uses_device:
        device.set_matmul(case.precision.matmul)
    if local_rank >= device.count():
        raise HardwareError(
            f"topology.devices={case.topology.devices}, but only {device.count()} devices of {case.vendor.title} are "
            f"visible. Lower topology.devices, or look at {case.vendor.visible_devices_env}."
        )
    sampler = SamplerClient.from_environment()
    sampler.watch(os.getpid())
    ranks = case.topology.devices
    assert isinstance(ranks, int)
    mark = _sampler_mark(sampler, device.own_identities(ranks), events) if local_rank == 0 else _no_mark
    if local_rank == 0:  # each node tells of its own
        peaks = take_along(case, folder, device.own_identities(ranks)) if rank == 0 else {}
        events.emit(Name.ENVIRONMENT, environment(device, ranks, case.framework.name) | peaks)
    return Context(
        case=case,
        folder=folder,
        rank=rank,
        local_rank=local_rank,
        world=world,
        events=events,
        device=device,
        mark=mark,
    )


def _no_mark(name: str) -> float:
    """Ranks beside the first of a node leave the sensors to it."""
    return time.monotonic()


def _sampler_mark(client: SamplerClient, identities: list[DeviceIdentity], events: EventWriter) -> Mark:
    """Have the sampler measure the devices of this node's ranks alone, at rest first where their power can be read.

    A meter is read at every mark, so that the rest has as many readings as a figure needs.
    """
    reasons = client.devices(identities)
    told = False

    def mark(name: str) -> float:
        nonlocal told
        moment = client.mark(name)
        if client.reason is not None and not told:
            told = True
            events.emit(Name.WARNING, {"message": f"The meters were not read to the end: {client.reason}."})
        return moment

    if any(name != "host" and reason is None for name, reason in reasons.items()):
        mark("idle_begin")
        for _ in range(IDLE_MARKS):
            time.sleep(IDLE_S / (IDLE_MARKS + 1))
            mark("idle")
        time.sleep(IDLE_S / (IDLE_MARKS + 1))
        mark("idle_end")
    return mark


def check_root(imported: str | None) -> None:
    """Refuse to measure with another installation than the one whose parent started this worker.

    Raises:
        DependencyError: says which one was imported, and which one should have been.
    """
    wanted = os.environ.get(ROOT_VARIABLE)
    found = str(Path(imported or "").resolve().parents[1])
    if wanted is not None and found != wanted:
        raise DependencyError(
            f"The worker imported the engine from {found}, and was started by that in {wanted}. "
            "Something sets sys.path before it starts (a sitecustomize.py, a .pth file): start without it."
        )


def end_with_parent(folder: Path) -> None:
    """End this rank when the parent no longer owns the run folder: nobody would record what it does."""
    if os.environ.get(PARENT_VARIABLE) is None:
        return

    def watch() -> None:
        wait_until_gone(folder)
        os._exit(WorkerCrashedError.exit_code)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
