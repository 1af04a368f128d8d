"""The doctor beside a real SLURM: what accounting means there, and the nodes of an allocation compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slurm_machine import SlurmMachine, missing, running

from runner.doctor.cluster.slurm import RECORDED, UNRECORDED

pytestmark = pytest.mark.heavy
ROOT = Path(__file__).parents[2]
DOCTOR = (sys.executable, "-m", "runner.doctor", "cpu", "--json")


def told(machine: SlurmMachine, *command: str) -> dict[str, Any]:
    variables = {**os.environ, **machine.environment}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("accounting", [False, True])
def test_the_doctor_says_whether_a_lost_job_leaves_a_record(accounting: bool) -> None:
    if (reason := missing(accounting=accounting)) is not None:
        pytest.skip(reason)
    with running(accounting=accounting) as machine:
        found = told(machine, *DOCTOR)["cluster"]["slurm"]
        assert (found["accounting"], found["meaning"]) == (accounting, RECORDED if accounting else UNRECORDED)
        assert found["problem"] is None and found["job"] is None and found["kept_s"] > 0
        assert [(one["partition"], one["nodes"]) for one in found["partitions"]] == [("all", "2")]
        if not accounting:
            nodes = told(machine, "salloc", "--quiet", "--nodes=2", *DOCTOR, "--nodes")
            assert len(nodes["facts"]) == 2 and nodes["refused"] == []
            assert all(one["packages"]["torch"] for one in nodes["facts"])
