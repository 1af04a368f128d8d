"""What a script of Paddle checks found, run once in a process of its own: pytest's must not import Paddle."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hardware.child import environment_of_child


def found_by(script: str, *arguments: str) -> dict[str, Any]:
    """What each check of a script found; skips where Paddle is not installed.

    Args:
        script: in this folder.
        arguments: of its command line.
    """
    if find_spec("paddle") is None:
        pytest.skip("paddle is not installed")
    here = Path(__file__).parent
    ended = subprocess.run(
        [sys.executable, str(here / script), *arguments],
        env=environment_of_child({"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{here.parents[1]}:{here}"}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def check_of(found: dict[str, Any], name: str) -> Any:
    """What one check found.

    Raises:
        AssertionError: it failed; with its traceback.
    """
    result = found[name]
    assert not (isinstance(result, dict) and "failed" in result), result["failed"]
    return result
