"""Command line tools of vendors' compilers."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hardware.engines.vendor.from_onnx import EngineBuildError

LINES = 15
"""Of what a tool printed, shown when it failed."""


def call(command: Sequence[str], target: Path) -> None:
    """Have a tool write `target`.

    Raises:
        EngineBuildError: it ended with an error, or wrote nothing; with the end of what it said.
    """
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if done.returncode == 0 and target.exists():
        return
    how = f"ended with {done.returncode}" if done.returncode else f"wrote no {target.name}"
    said = "\n".join(done.stdout.strip().splitlines()[-LINES:])
    raise EngineBuildError(f"{Path(command[0]).name} {how}: {said or 'it said nothing'}")
