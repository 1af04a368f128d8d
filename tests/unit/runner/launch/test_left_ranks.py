"""Ranks that outlive the process that had started them are ended before anything is said of the run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runner.launch.processes import end_left


class Agent:
    """A torchrun agent that was killed."""

    pid = 2**22 + 1  # beyond what Linux gives
    returncode = -9

    def wait(self, timeout_s: float) -> bool:
        return True


def test_the_ranks_of_a_killed_agent_are_ended_and_others_are_not(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)", "rank.module"]
    ranks = [subprocess.Popen([*sleep, str(tmp_path)]) for _ in range(2)]
    other = subprocess.Popen([*sleep, f"{tmp_path}_2"])
    try:
        assert end_left(Agent(), tmp_path, "rank.module") == 2
        for rank in ranks:
            rank.wait(10)  # raises where it still runs
        assert other.poll() is None
        assert end_left(Agent(), tmp_path, "rank.module") == 0
    finally:
        for process in (*ranks, other):
            process.kill()
            process.wait()
