"""What a result tells of where it was measured: the variables that steer speed, and no others."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from toy import CPU_SPEC

from hardware.vendors.cpu import Cpu
from runner.worker.environment import VARIABLES, environment, variables


def test_variables_are_told_by_the_beginning_of_their_name() -> None:
    values = {"NCCL_ALGO": "Ring", "OMP_NUM_THREADS": "2", "HOME": "/home/x", "MY_NCCL_ALGO": "Tree", "TOKEN": "secret"}
    assert list(variables(values, (*VARIABLES, "NCCL_")).items()) == [("NCCL_ALGO", "Ring"), ("OMP_NUM_THREADS", "2")]


def test_the_environment_tells_the_hosts_and_the_vendors_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_SCHEDULE", "ACME_QUEUES", "TOUCHSTONE_REDFISH_PASSWORD"):
        monkeypatch.setenv(name, f"value of {name}")
    device = Cpu(replace(CPU_SPEC, environment=("ACME_",)))
    device.connect()
    told = environment(device, 1)
    assert told["variables"].items() >= {
        ("OMP_SCHEDULE", "value of OMP_SCHEDULE"),
        ("ACME_QUEUES", "value of ACME_QUEUES"),
    }
    assert "REDFISH" not in json.dumps(told)
