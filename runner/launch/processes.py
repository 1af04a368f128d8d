"""Starts and ends worker processes: fresh ones, torchrun's, and ones forked from a sweep's server."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import psutil

from hardware.child import ROOT, environment_of_child, python
from runner.cluster.place import NodePlace
from runner.config.schema import Case
from runner.core.registries import FRAMEWORKS
from runner.interpreters.choose import interpreter_of
from runner.measure.context import ROOT_VARIABLE
from runner.record.task import task_of

GRACE_S = 2.0
"""Between asking a worker to end and ending it."""


class WorkerProcess(Protocol):
    """A started worker, whichever way it was started."""

    pid: int

    def wait(self, timeout_s: float) -> bool:
        """Sleep until it has ended, at most `timeout_s`; says whether it has."""

    @property
    def returncode(self) -> int | None:
        """Exit status; negative for a signal; None while it runs."""


class Spawned:
    """A worker started as a new Python process, or a torchrun agent with its ranks."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=_variables(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._ended = threading.Event()
        threading.Thread(target=self._await, daemon=True, name="worker-wait").start()

    def _await(self) -> None:
        self._process.wait()
        self._ended.set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until it has ended."""
        return self._ended.wait(timeout_s)

    @property
    def returncode(self) -> int | None:
        """Exit status."""
        return self._process.returncode if self._ended.is_set() else None


class Forked:
    """A worker forked from the server that has already imported everything."""

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        variables = _variables(environment)
        self._process: BaseProcess = context.Process(target=_forked_main, args=(folder, variables, log))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        try:
            self.process: psutil.Process | None = psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            self.process = None

    def wait(self, timeout_s: float) -> bool:
        """Sleep until it has ended."""
        self._process.join(timeout_s)
        return self._process.exitcode is not None

    @property
    def returncode(self) -> int | None:
        """Exit status."""
        return self._process.exitcode


def _variables(added: Mapping[str, str]) -> dict[str, str]:
    """All environment variables of a worker."""
    return environment_of_child({ROOT_VARIABLE: str(ROOT), **added})


def start_server() -> None:
    """Have the sweep's server import everything, while the parent goes on."""
    from multiprocessing import forkserver

    multiprocessing.get_context("forkserver").set_forkserver_preload(["runner.launch.preload"])
    # The server is a `python -c`, which searches the working directory; it takes its variables from this process.
    before = dict(os.environ)
    os.environ.update(environment_of_child({"PYTHONSAFEPATH": "1"}))
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _forked_main(folder: Path, variables: Mapping[str, str], log: Path) -> None:
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()  # the server's were those of the sweep's start
    os.environ.update(variables)
    from runner.worker.main import main

    sys.exit(main(folder))


WORKER = "runner.worker.main"
"""The module whose `python -m` is a rank of a case."""


def start_worker(
    case: Case,
    folder: Path,
    environment: Mapping[str, str],
    *,
    forked: bool,
    module: str = WORKER,
    place: NodePlace | None = None,
) -> WorkerProcess:
    """Start the rank or ranks of a case, `python -m module FOLDER` each; their output goes to `worker.log`.

    Only the case's own worker can be forked from a sweep's server. With a place, only that node's ranks are started.
    The ranks, and the torchrun that starts them, run in the framework's interpreter.
    """
    assert not (forked and module != WORKER), "the server has imported the case's worker"
    log = folder / "worker.log"
    ranks = case.topology.devices if task_of(case).on_device else 1
    assert isinstance(ranks, int)
    if ranks == 1 and forked and can_fork(case):
        return Forked(folder, environment, log)
    command = partial(python, interpreter=interpreter_of(case))
    if ranks == 1 and place is None:
        return Spawned(command(module, str(folder)), environment, log)
    threads = max(1, (psutil.cpu_count(logical=False) or 1) // ranks)
    # `--no-python`: torchrun itself would start the ranks without `-P`.
    options = place.torchrun(ranks) if place else ["--standalone", f"--nproc-per-node={ranks}"]
    torchrun = command("torch.distributed.run", *options, "--no-python")
    return Spawned([*torchrun, *command(module, str(folder))], {"OMP_NUM_THREADS": str(threads), **environment}, log)


def can_fork(case: Case) -> bool:
    """Whether a sweep's server can be a case's worker: it has this interpreter, and PyTorch in it.

    A framework with a runtime of its own gets a fresh process: two of them in one abort it.
    """
    return interpreter_of(case) is None and FRAMEWORKS.find(case.framework.name).runtime is None


def end_worker(worker: WorkerProcess) -> None:
    """End a worker with all its descendants: ask, wait `GRACE_S`, then kill."""
    try:
        root = psutil.Process(worker.pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    _ask(tree)
    _, alive = psutil.wait_procs(tree[1:], timeout=GRACE_S)
    if not worker.wait(0.2 if alive else GRACE_S):
        alive.append(root)
    _kill(alive)
    worker.wait(GRACE_S)


def end_left(worker: WorkerProcess, folder: Path, module: str = WORKER) -> int:
    """End what outlives a worker: a torchrun agent's ranks, or a fork, when agent or server is killed.

    They would go on measuring, and write into the folder beside its report.

    Returns:
        How many there were, a data loader's processes included.
    """
    rank = [module, str(folder)]
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-len(rank) :] == rank and process.pid != worker.pid
    ]
    if isinstance(worker, Forked) and worker.process is not None:
        left.append(worker.process)
    left = [process for process in left if _runs(process)]
    _ask(left)
    _, alive = psutil.wait_procs(left, timeout=GRACE_S)
    _kill(alive)
    psutil.wait_procs(alive, timeout=GRACE_S)
    return len(left)


def _runs(process: psutil.Process) -> bool:
    """Whether it does, and is not just uncollected."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _ask(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
