"""What `tensorflow_checks.py` found, by check."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hardware.child import environment_of_child


def checked(group: str) -> dict[str, Any]:
    """Run a group of checks in a process of its own; skips where TensorFlow is not installed."""
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    script = Path(__file__).with_name("tensorflow_checks.py")
    done = subprocess.run(
        [sys.executable, str(script), group],
        env=environment_of_child({"OMP_NUM_THREADS": "1"}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for name, one in found.items():
        assert not (isinstance(one, dict) and "error" in one), f"{name}: {one}"
    return found
