"""Runs a vendor's command line tool so that no way it can fail holds up the sampler."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess

from hardware.meters.base import MeterUnavailableError

GRACE_S = 1.0
"""How long a killed tool may take to go; one that waits in a broken driver never does."""

NOT_RUN = 126
"""Exit statuses from here on: not executable, not found, killed (POSIX, "Exit Status for Commands")."""


class Tool:
    """One tool under the first of its names that is installed."""

    def __init__(self, *names: str, timeout_s: float, partial: bool = False) -> None:
        """A tool that is not run yet.

        Args:
            names: its names, in the order in which they are looked for.
            timeout_s: seconds after which a call is ended.
            partial: what it complains of counts as output too where its exit status says that one of its fields failed.
        """
        self._names = names
        self._partial = partial
        self._timeout_s = timeout_s
        self._stuck: subprocess.Popen[str] | None = None
        self.complaint: str | None = None
        """What the last call that printed something ended with, and complained of; None where it ended well."""
        self.cpu_s = 0.0
        """Processor seconds of all calls so far; of other tools too that ended meanwhile, so never too few."""

    def run(self, *arguments: str) -> str:
        """What the tool prints, whatever its exit status: with one device lost it fails, and prints the others' rows.

        A call that was ended by a signal has failed all the same, for its last row may be cut short.

        Raises:
            MeterUnavailableError: not installed, printed nothing and ended with an error, or did not end in time.
        """
        self.complaint = None
        path = next((path for name in self._names if (path := shutil.which(name))), None)
        if path is None:
            raise MeterUnavailableError(f"{' or '.join(self._names)} is not on PATH")
        if self._stuck is not None and self._stuck.poll() is None:
            raise MeterUnavailableError(f"{path} still hangs since an earlier call")
        before_s = _children_s()
        try:
            return self._call(path, arguments)
        finally:
            self.cpu_s += _children_s() - before_s

    def _call(self, path: str, arguments: tuple[str, ...]) -> str:
        # A session of its own: a wrapper script's children hold the pipe and must go with it.
        try:
            process = subprocess.Popen(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
                env=os.environ | {"LC_ALL": "C"},
            )
        except OSError as error:
            raise MeterUnavailableError(f"{path}: {error}") from error
        try:
            output, complaint = process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired as error:
            self._kill(process)
            raise MeterUnavailableError(f"{path} did not answer within {self._timeout_s:g} s") from error
        if self._partial and 0 < process.returncode < NOT_RUN:
            return output + complaint
        if process.returncode != 0:
            said = (complaint or output).strip()[:200]
            problem = f"{path} ended with {process.returncode}: {said or 'no message'}"
            if not output.strip() or not 0 < process.returncode < NOT_RUN:
                raise MeterUnavailableError(problem)
            self.complaint = problem
        return output

    def _kill(self, process: subprocess.Popen[str]) -> None:
        self._stuck = process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=GRACE_S)


def _children_s() -> float:
    """Processor seconds of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
