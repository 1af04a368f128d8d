"""What a job of a sweep runs on its machine: the command of one case, as a child, until it ends.

The launcher calls `run_case_job` in a process of its own. The case is not run there: what the launcher has imported,
and the variables that it has set, are none of a measurement.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hardware.child import python, with_own_root
from runner.sweeping.job_files import BEAT_S, FOLDER, VARIABLE, CaseFiles, JobCase, JobList

PR_SET_PDEATHSIG = 1
"""prctl(2)."""
LOOK_S = 0.2
"""Between two looks at the child."""
INTERRUPTED = 130
OF_SUBMITIT = (signal.SIGUSR1, signal.SIGUSR2)
"""What submitit has SLURM send before a job's time is over, by its version."""


def run_case_job(config: Any) -> int:
    """Run the case that the launcher's configuration numbers; returns the status of its command.

    Args:
        config: `sweep`, the folder of the sweep, and `case`, the place in it.

    Raises:
        RuntimeError: this machine does not see the sweep's folder.
    """
    try:
        return _job(Path(str(config.sweep)) / FOLDER, int(config.case))
    except Exception:
        traceback.print_exc()  # Hydra keeps it in a pickle, which nobody reads
        raise


def _job(jobs: Path, number: int) -> int:
    try:
        listed = JobList.load(jobs)
    except OSError as error:
        raise RuntimeError(
            f"{socket.gethostname()} cannot read {error.filename}: {error.strerror}. The jobs of a sweep must see its "
            "folder: choose a place that all machines share with run.root=FOLDER."
        ) from error
    case, task = listed.cases[number], int(os.environ.get("SLURM_PROCID", "0"))
    files = CaseFiles(jobs, number)
    if task > 0:
        return _further_task(listed, case, files, task) if case.spread else 0
    began_s = time.monotonic()
    files.begin({"job": job_number(), "host": socket.gethostname(), "pid": os.getpid()})
    life = _Life(files, jobs / "cancel")
    with life.beating():
        code = INTERRUPTED
        with ExitStack() as stack:
            if not case.turn or stack.enter_context(_turn(life)):
                began_s = time.monotonic()
                code = _run(listed, case, files.log, {VARIABLE: str(files.folder)}, life)
    files.end(code, time.monotonic() - began_s)
    return code


def job_number() -> str | None:
    """The batch system's number of this job, as its commands take it; None where there is none."""
    array, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{place}" if array and place else os.environ.get("SLURM_JOB_ID")


def _further_task(listed: JobList, case: JobCase, files: CaseFiles, task: int) -> int:
    """A node of a case of several: the same command, whose launcher makes an agent of it."""
    files.folder.mkdir(parents=True, exist_ok=True)
    life = _Life(files, files.folder.parent / "cancel")
    return _run(listed, case, files.folder / f"task{task}.log", {}, life)


class _Life:
    """Says that the job is there, and hears whether it shall end."""

    def __init__(self, files: CaseFiles, cancel: Path) -> None:
        self._files, self._cancel = files, cancel
        self._over = threading.Event()
        self.asked = False
        """Whether this job's end was asked for."""

    def ask(self, *_: object) -> None:
        """As a signal's handler."""
        self.asked = True

    def must_end(self) -> bool:
        """Whether the case shall end."""
        return self.asked or self._cancel.exists()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Give signs of life for as long as this lasts."""
        thread = threading.Thread(target=self._beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(BEAT_S if count else 0.0):
            count += 1
            self._files.beat(count)


def _run(listed: JobList, case: JobCase, log: Path, added: dict[str, str], life: _Life) -> int:
    """Run the command of a case to its end; a signal, or the sweep's word, ends it in good order."""
    environment = with_own_root({**os.environ, **added})
    for name, value in listed.environment.items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    with log.open("ab") as output, _hearing(life):
        with _in_child_ignored():
            child = subprocess.Popen(
                python("runner", *case.words),
                env=environment,
                cwd=listed.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_dying_with_parent(),  # noqa: PLW1509 -- one call of the kernel, prepared before
            )
        told = False
        while (code := child.poll()) is None:
            if life.must_end() and not told:
                told = True
                child.terminate()
            time.sleep(LOOK_S)
    return code if code >= 0 else 128 - code


def _dying_with_parent() -> Callable[[], object] | None:
    """What has a child killed when this process is: a case must not go on in a place that its job has lost.

    A cluster's control groups do it; without them a child outlives its job, and disturbs who has the place then. The
    case's own ranks end when its process is gone.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after the fork little may be done
    return lambda: prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


@contextmanager
def _hearing(life: _Life) -> Iterator[None]:
    """Take the batch system's signals for the wish that the case end: SIGTERM, and those before the time is over."""
    with _handled(dict.fromkeys((signal.SIGTERM, *OF_SUBMITIT), life.ask)):
        yield


@contextmanager
def _in_child_ignored() -> Iterator[None]:
    """Have a child that is started meanwhile ignore submitit's signals, which SLURM sends to all processes of a step.

    They would kill it, and every rank of its case. What is ignored stays so in the programs that a child starts.
    """
    with _handled(dict.fromkeys(OF_SUBMITIT, signal.SIG_IGN)):
        yield


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Handlers of signals for a while; nothing in a thread, which cannot have any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _turn(life: _Life) -> Iterator[bool]:
    """Wait until no other case of this user's sweeps is measured on this machine; false where the end was asked for."""
    path = Path(tempfile.gettempdir()) / f"touchstone-turn-{os.getuid()}.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        while not life.must_end():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOOK_S)
            else:
                yield True
                return
        yield False
