"""Runs the command line as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).parent
SEARCH_PATH = f"hydra.searchpath=[file://{SUPPORT}/conf]"
"""Finds the toy and the broken models."""


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    root: Path

    @property
    def reports(self) -> dict[str, dict[str, Any]]:
        """Reports below the output root, by the model's name."""
        return {report["case"]["model"]: report for report in self.found}

    @property
    def found(self) -> list[dict[str, Any]]:
        """All reports below the output root."""
        return [json.loads(path.read_text()) for path in sorted(self.root.glob("*/**/report.json"))]

    @property
    def folder(self) -> Path:
        """The only run folder."""
        (path,) = self.root.glob("*/*/run.yaml")
        return path.parent


def environment() -> dict[str, str]:
    """The environment a command gets: finds the test models, draws nothing."""
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path.rstrip(os.pathsep), "NO_COLOR": "1", "COLUMNS": "200"}


def run(root: Path, *arguments: str, tracking: str = "none", timeout_s: float = 300) -> Ended:
    """`python -m runner` with its output under `root`."""
    command = [sys.executable, "-m", "runner", *arguments, SEARCH_PATH, f"run.root={root}", f"tracking={tracking}"]
    done = subprocess.run(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout, root)
