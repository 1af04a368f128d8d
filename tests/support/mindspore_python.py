"""The interpreter in which MindSpore works: this one, or that of the environment beside the project."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from hardware.child import environment_of_child
from runner.interpreters.choose import PYTHON, environment_of

SUPPORT = Path(__file__).resolve().parent


def mindspore_python() -> str | None:
    """None where MindSpore is not installed, or beside a NumPy that it is not built for."""
    if find_spec("mindspore") is not None and version("numpy").startswith("1."):
        return sys.executable
    own = environment_of("mindspore") / PYTHON
    return str(own) if own.is_file() else None


def run_there(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of this folder; what it prints is its own lines' alone, MindSpore logs to stderr."""
    interpreter = mindspore_python()
    assert interpreter is not None
    return subprocess.run(
        [interpreter, "-P", str(SUPPORT / script), *arguments],
        env=environment_of_child({"OMP_NUM_THREADS": "1"}, {**os.environ, "PYTHONPATH": str(SUPPORT)}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
