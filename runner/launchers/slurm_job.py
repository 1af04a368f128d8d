"""A case as a job of SLURM: submitted from outside an allocation, followed to its end, its status read from a file."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hardware.child import python
from runner.config.schema import Case
from runner.core.errors import HardwareError, InterruptedRunError, WorkerCrashedError
from runner.core.interrupts import Interrupts
from runner.launchers import slurm_queue
from runner.launchers.base import KEY_VARIABLE
from runner.launchers.slurm_options import ASK_S, SlurmOptions

SCRIPT, LOG, STATUS = "slurm.sh", "slurm.log", "slurm.status"
"""In the run's folder: what was submitted, what it said, and the status with which its command ended."""
LOOK_S = 2.0
"""Between two looks at the queue."""
SETTLE_S = 30.0
"""How long the status of a job that has left the queue may take to show in a shared file system."""


class SlurmJob:
    """One submission."""

    def __init__(self, case: Case, arguments: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
        assert isinstance(case.launcher, SlurmOptions)
        self._case, self._options, self._say = case, case.launcher, say
        self._arguments, self._folder = list(arguments), folder.resolve()
        self._state: slurm_queue.JobState | None = None

    def run(self) -> int:
        """Submit and, unless told otherwise, follow the job; returns the exit code of the case."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / SCRIPT).write_text(self.script())
        number = self._submit()
        self._say(f"Job {number} was submitted. It writes to {self._folder / LOG}.")
        if not self._options.follow:
            self._say(f"Its result: python -m runner.report {self._folder}")
            return 0
        with Interrupts() as interrupts:
            try:
                with interrupts.allowed():
                    self._follow(number)
            except KeyboardInterrupt:
                self._say(f"Interrupted: job {number} is cancelled.")
                slurm_queue.cancel([number])
                self._follow(number)
                return InterruptedRunError.exit_code
        return self._ending(number)

    def script(self) -> str:
        """What sbatch is given; people may submit it again as it is."""
        case, options = self._case, self._options
        nodes = case.topology.nodes
        devices = [] if case.vendor.on_host or case.emulate else [f"--gpus-per-node={case.topology.devices}"]
        asked = [
            *(f"--job-name={case.name}", f"--nodes={nodes}", "--ntasks-per-node=1"),
            *(f"--output={self._folder / LOG}", "--open-mode=append", f"--time={round(options.time_minutes)}"),
            *(f"--signal=TERM@{round(options.end_s)}", "--requeue" if options.requeue else "--no-requeue"),
            *([f"--partition={options.partition}"] if options.partition else []),
            *([f"--account={options.account}"] if options.account else []),
            *([options.devices_option] if options.devices_option else devices),
            *options.options,
        ]
        again = ["resume=true"] if options.requeue else []
        command = [*python("runner", *self._arguments), f"hydra.run.dir={self._folder}", *again]
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {one}" for one in asked),
            f"srun --ntasks-per-node=1 {shlex.join(command)}",
            "status=$?",
            *(_REQUEUE if options.requeue else ()),
            f"echo $status > {shlex.quote(str(self._folder / STATUS))}",
            "exit $status",
        ]
        return "\n".join(lines) + "\n"

    def _submit(self) -> str:
        environment = {**os.environ, KEY_VARIABLE: secrets.token_hex(32)}
        command = ["sbatch", "--parsable", "--export=ALL", str(self._folder / SCRIPT)]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ASK_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HardwareError(f"sbatch did not answer: {error}.") from error
        if done.returncode != 0:
            said = " ".join(done.stderr.split()).rstrip(".")
            raise HardwareError(f"sbatch refused the job: {said}. What was submitted: {command[-1]}")
        return done.stdout.strip().partition(";")[0]

    def _follow(self, number: str) -> None:
        """Show what the job says until it has left the queue."""
        shown, began_s, offset = "", time.monotonic(), 0
        while True:
            offset = self._show(offset)
            found = slurm_queue.states([number])
            if found is not None:  # else SLURM does not answer, which says nothing of the job
                self._state = found.get(number)
                if self._state is None or self._state.over:
                    break
                told = f"job {number} is {self._state.state} ({self._state.reason})"
                if told != shown:
                    self._say(f"[{time.monotonic() - began_s:7.1f} s] {told}")
                    shown = told
            time.sleep(LOOK_S)
        self._show(offset)

    def _show(self, offset: int) -> int:
        log = self._folder / LOG
        if not log.exists():
            return offset
        with log.open("rb") as file:
            file.seek(offset)
            text = file.read()
        sys.stdout.write(text.decode(errors="replace"))
        sys.stdout.flush()
        return offset + len(text)

    def _ending(self, number: str) -> int:
        """The status that the job's command left.

        Raises:
            TouchstoneError: it left none: the job was killed.
        """
        status = self._folder / STATUS
        deadline_s = time.monotonic() + SETTLE_S
        while not status.exists():
            if time.monotonic() > deadline_s:
                raise slurm_queue.cause_of(
                    number, self._state, str(self._folder / LOG), "launcher.time_minutes=MINUTES"
                )
            time.sleep(1.0)
        return int(status.read_text().strip() or WorkerCrashedError.exit_code)


_REQUEUE = (
    "if [ $status -eq 130 ]; then  # asked to end before the time limit",
    '    scontrol requeue "$SLURM_JOB_ID" && exit $status',
    "fi",
)
