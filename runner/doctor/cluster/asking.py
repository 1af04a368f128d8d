"""Asks a tool that may hang, for as long as anybody wants to wait."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LIMIT_S = 10.0
"""How long a scheduler's command may take; one whose controller is gone tries for longer."""
NO_ANSWER = 124
"""Status of a tool that was ended, as timeout(1) has it."""


@dataclass(kw_only=True, slots=True, frozen=True)
class ToolAnswer:
    """What a tool said."""

    code: int
    out: str
    error: str

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.code == 0

    @property
    def words(self) -> str:
        """Why it did not, in its own words: the last line of each, the first of the errors where there are several."""
        lines = [line.strip() for line in (self.error or self.out).splitlines() if line.strip()]
        return lines[0] if lines else f"it ended with status {self.code} and said nothing"


def ask(command: Sequence[str], *, limit_s: float = LIMIT_S, env: Mapping[str, str] | None = None) -> ToolAnswer:
    """Run a tool with all that it starts, and end them when they take too long."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    except OSError as error:
        return ToolAnswer(code=127, out="", error=f"{command[0]}: {error.strerror}")
    try:
        out, said = process.communicate(timeout=limit_s)
        return ToolAnswer(code=process.returncode, out=out, error=said)
    except subprocess.TimeoutExpired:
        return ToolAnswer(code=NO_ANSWER, out="", error=f"{command[0]} did not answer within {limit_s:g} s")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
