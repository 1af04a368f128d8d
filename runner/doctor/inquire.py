"""Starts the process that asks a vendor's driver, and survives whatever becomes of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hardware.child import environment_of_child, python
from runner.doctor.findings import Details

LIMIT_S, DEEP_LIMIT_S = 30.0, 180.0
"""How long a driver, and a stack that has to be started, may take to answer."""
GRACE_S = 2.0
"""How long a killed process may take to go; one that waits in a broken driver never does."""
_ADAPTER: TypeAdapter[Details] = TypeAdapter(Details)


def inquire(vendor: str, *, deep: bool, limit_s: float | None = None, module: str = "runner.doctor.details") -> Details:
    """What a fresh process finds of a vendor.

    Args:
        vendor: its name.
        deep: whether to start its stack, too.
        limit_s: seconds after which it is ended; null for the usual ones.
        module: what the process runs.
    """
    limit_s = limit_s or (DEEP_LIMIT_S if deep else LIMIT_S)
    with tempfile.TemporaryDirectory(prefix="touchstone-") as place:
        file, log = Path(place) / "found.json", Path(place) / "log"
        command = python(module, vendor, str(file), *(["--deep"] if deep else []))
        ending = _run(command, log, limit_s)
        stage, found = _read(file)
        if ending is None and found is None:
            ending = "said nothing that can be understood"
        found = found or Details()
        if ending is not None:
            where = f" while {stage}" if stage else ""
            problem = f"the process that asks its driver {ending}{where}{_last_words(log)}"
            found.problem = "; ".join(filter(None, [found.problem, problem]))
    return found


def _run(command: list[str], log: Path, limit_s: float) -> str | None:
    """How the process ended, when it did not end well."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment_of_child({}),
            start_new_session=True,  # its tools go with it
        )
    try:
        code = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        return f"did not answer within {limit_s:g} s and was ended"
    except KeyboardInterrupt:
        _kill(process)
        raise
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with status {code}" if code else None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)


def _read(file: Path) -> tuple[str, Details | None]:
    """The stage it came to, and what it had found by then; null where that cannot be understood."""
    try:
        written: dict[str, Any] = json.loads(file.read_text())
        return str(written["stage"]), _ADAPTER.validate_python(written["found"])
    except (OSError, ValueError, LookupError, TypeError):
        return "", None


def _last_words(log: Path) -> str:
    """What it printed last; drivers say there why they crash."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f": {lines[-1].strip()[:200]}" if lines else ""
