"""The options of `launcher=slurm`, and how SLURM's commands are asked."""

from __future__ import annotations

import os
import subprocess

from pydantic.dataclasses import dataclass

from models.ranges import Port, Seconds
from runner.config.schema import STRICT, LauncherSpec
from runner.core.errors import HardwareError

ASK_S = 30.0
"""How long one of SLURM's commands may take to answer."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class SlurmOptions(LauncherSpec):
    """`conf/launcher/slurm.yaml`."""

    port: Port = 29400
    partition: str | None = None
    account: str | None = None
    time_minutes: Seconds = 60.0
    devices_option: str | None = None
    options: tuple[str, ...] = ()
    end_s: Seconds = 120.0
    requeue: bool = False
    follow: bool = True


def first_node_address() -> str:
    """The network address of the allocation's first node, where task 0 runs.

    Raises:
        HardwareError: SLURM does not tell it.
    """
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ.get("SLURM_JOB_NODELIST", "")
    name = ask("scontrol", "show", "hostnames", nodes).split()[0]
    told = ask("scontrol", "show", "node", name, "--oneliner")
    fields = dict(word.split("=", 1) for word in told.split() if "=" in word)
    return fields.get("NodeAddr", name)


def ask(*command: str) -> str:
    """What one of SLURM's commands answers.

    Raises:
        HardwareError: it cannot be started, fails, or does not answer.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HardwareError(f"{command[0]} did not answer: {error}.") from error
    if done.returncode != 0:
        raise HardwareError(f"{' '.join(command[:3])} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
