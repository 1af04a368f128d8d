"""The jobs of one sweep, from their submission until every case is accounted for."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware.child import environment_of_child, python
from runner.commandline.launcher import Plugin
from runner.config.schema import Case
from runner.core.errors import InterruptedRunError, TouchstoneError
from runner.core.interrupts import Interrupts
from runner.launch.sweep import SweepFolder
from runner.launchers import slurm_queue
from runner.launchers.base import KEY_VARIABLE
from runner.messages import tr
from runner.sweeping.causes import cause_here, cause_of_queued, log_of
from runner.sweeping.driver import ASKED, SUBMITTED
from runner.sweeping.follow import Followed
from runner.sweeping.job_files import FOLDER, CaseFiles, JobList
from runner.sweeping.lost import end_of, record_lost
from runner.sweeping.telling import JobTeller

LOOK_S = 1.0
"""Between two looks at the jobs' files."""
ASK_S = 5.0
"""Between two questions to SLURM."""
SILENT_S = 900.0
"""SLURM does not answer for so long: its jobs are then judged by their own signs of life."""
CANCEL_S = 90.0
"""How long cancelled cases may take to end in good order, with what they have measured."""


@dataclass(kw_only=True, slots=True)
class JobsAsked:
    """What is launched, and by what."""

    name: str
    """Of Hydra's launcher."""
    plugin: Plugin
    settings: dict[str, Any]
    """Of the launcher, as composed."""
    listed: JobList


class Jobs:
    """Starts the launcher, follows the cases' files, records what was lost."""

    def __init__(
        self, how: JobsAsked, sweep: SweepFolder, cases: Mapping[int, Case], *, clock: Callable[[], float]
    ) -> None:
        self._how, self._sweep, self._cases, self._clock = how, sweep, dict(cases), clock
        self._jobs = sweep.folder.resolve() / FOLDER
        self._followed = {
            number: Followed(number=number, files=CaseFiles(self._jobs, number), clock=clock) for number in cases
        }
        self._driver: subprocess.Popen[bytes] | None = None
        self._states: dict[str, slurm_queue.JobState] | None = {}
        self._asked_s = self._answered_s = clock()
        self._teller = JobTeller(self._cases, clock)
        self._lost: list[tuple[Path, Case]] = []

    def run(self, interrupts: Interrupts) -> list[tuple[Path, Case]]:
        """Run all; returns the folders of those that were lost, each with its case."""
        try:
            self._start()
            while self._open():
                self._look()
                with interrupts.allowed():  # nowhere else: what is being written down is written to its end
                    time.sleep(LOOK_S)
        except KeyboardInterrupt:
            self._cancel()
        finally:
            self._end_driver()
        return self._lost

    def _open(self) -> list[Followed]:
        """Cases that are not accounted for."""
        return [one for one in self._followed.values() if self._sweep.record.cases[one.number].exit_code is None]

    def _start(self) -> None:
        """Hand the cases to the launcher, in a process that this one can do without."""
        self._jobs.mkdir(exist_ok=True)
        self._how.listed.save(self._jobs)
        asked = {"launcher": self._how.name, "settings": self._how.settings, "cases": [*self._cases]}
        (self._jobs / ASKED).write_text(json.dumps(asked, indent=1))
        if any(one.turn for one in self._how.listed.cases.values()):
            self._teller.say(
                tr("Cases of one machine take turns: side by side they would disturb each other's measurement.")
            )
        kept = {name: value for name, value in os.environ.items() if name == "SLURM_CONF"}
        with (self._jobs / "launcher.log").open("ab") as output:
            self._driver = subprocess.Popen(
                python("runner.sweeping.driver", str(self._jobs)),
                # Of a surrounding job nothing is handed on: these jobs are not its steps.
                env=environment_of_child({**kept, KEY_VARIABLE: secrets.token_hex(32)}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._teller.say(
            tr("Jobs that hydra/launcher={name} starts: {count}", count=len(self._cases), name=self._how.name)
        )

    def _look(self) -> None:
        """Look at every open case once."""
        numbers = self._numbers()
        self._ask_slurm(numbers)
        for one in self._open():
            phase = one.look(gone=self._gone(one, numbers))
            if phase in ("ended", "lost"):
                self._account(one, numbers.get(one.number))
            else:
                job = numbers.get(one.number)
                self._teller.phase(one, job, (self._states or {}).get(job or ""))
        self._teller.still(self._open())

    def _numbers(self) -> dict[int, str]:
        """The batch system's number of each case's job."""
        try:
            told = json.loads((self._jobs / SUBMITTED).read_text())
        except (OSError, ValueError):
            return {}
        return {int(case): str(number) for case, number in told.items()}

    def _ask_slurm(self, numbers: Mapping[int, str]) -> None:
        now_s = self._clock()
        if not self._how.plugin.queued or not numbers or now_s - self._asked_s < ASK_S:
            return
        self._asked_s = now_s
        self._states = slurm_queue.states(numbers.values())
        if self._states is not None:
            self._answered_s = now_s

    def _gone(self, one: Followed, numbers: Mapping[int, str]) -> bool | None:
        """Whether nothing will come of a case's job any more; None where only its signs of life tell."""
        job = numbers.get(one.number)
        if self._how.plugin.queued and job is not None:
            if self._states is None:
                return None if self._clock() - self._answered_s > SILENT_S else False
            if self._asked_s == self._answered_s and job not in self._states:
                return True
            state = self._states.get(job)
            return state is not None and (state.over or state.stuck)
        if one.files.started is not None:
            return None
        return self._driver is not None and self._driver.poll() is not None

    def _account(self, one: Followed, job: str | None) -> None:
        """Write down how a case ended."""
        case, number = self._cases[one.number], one.number
        report, ended = one.report(), one.files.ended
        if report is not None:
            folder, code = one.folder, report.exit_code
            assert folder is not None
        else:
            error = end_of(one, self._cause(one, job))
            place = one.folder or self._sweep.wanted(number)
            folder = record_lost(case, place, self._sweep.plans[number].division, error)
            code = error.exit_code
        if report is None or ended is None:
            self._lost.append((folder, case))
        placed = one.files.placed
        self._sweep.placed(number, folder, done=bool(placed and placed.done and report is not None))
        took_s = float(ended["took_s"]) if ended and report is not None else None
        self._sweep.ended(number, code, took_s)
        self._teller.end(one, code, took_s)

    def _cause(self, one: Followed, job: str | None) -> TouchstoneError:
        """Why a case's job left nothing."""
        job = job or (one.files.started or {}).get("job")
        log = log_of(one, job, self._how.settings, self._sweep.folder)
        if self._how.plugin.queued and job is not None:
            return cause_of_queued(one, job, (self._states or {}).get(job), log)
        return cause_here(one, self._how.name, log)

    def _cancel(self) -> None:
        """End the jobs: first in good order, then whatever the way; what was begun and left nothing is recorded."""
        self._teller.say(tr("Interrupted: the jobs are cancelled."))
        (self._jobs / "cancel").touch()
        numbers = self._numbers()
        if self._how.plugin.queued:
            slurm_queue.cancel([*numbers.values()], only_pending=True)
        last_s = self._clock() + CANCEL_S
        while self._clock() < last_s and (begun := [one for one in self._open() if one.files.started is not None]):
            for one in begun:
                if one.look(gone=None) == "ended":
                    self._account(one, numbers.get(one.number))
            time.sleep(LOOK_S)
        if self._how.plugin.queued:
            slurm_queue.cancel([*numbers.values()])
        for one in self._open():
            if one.files.started is not None:
                error = InterruptedRunError("Interrupted: the sweep was ended, and the case left no result in time.")
                place = one.folder or self._sweep.wanted(one.number)
                case = self._cases[one.number]
                folder = record_lost(case, place, self._sweep.plans[one.number].division, error)
                self._sweep.placed(one.number, folder)
                self._sweep.ended(one.number, error.exit_code)
        self._sweep.codes.append(InterruptedRunError.exit_code)

    def _end_driver(self) -> None:
        """End the launcher's process and what it started; a batch system's jobs are not among it."""
        if self._driver is None:
            return
        self._signal_driver(signal.SIGTERM)
        try:
            self._driver.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._signal_driver(signal.SIGKILL)
            self._driver.wait()

    def _signal_driver(self, number: signal.Signals) -> None:
        if self._driver is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._driver.pid, number)
