"""`launcher=slurm`: one allocation, one task per node by srun; every task runs the same command and finds its part.

Task 0 is the head and the first node. The others are agents. Outside an allocation the command submits such a job
(`slurm_job`). Nothing is nested: inside, no further step is started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from hardware.child import python
from runner.config.schema import LauncherSpec
from runner.core.errors import ConfigurationError, HardwareError
from runner.launchers.base import KEY_VARIABLE, Invitation, agent_arguments
from runner.launchers.local import Local
from runner.launchers.slurm_job import SlurmJob
from runner.launchers.slurm_options import SlurmOptions, first_node_address

INSTALL = "SLURM's commands are not on this machine (no {name} in PATH). Run it where jobs are submitted."


class Slurm(Local):
    """Of a step's tasks the first runs the case, and starts its own machine's agent as `launcher=local` does."""

    options: ClassVar[type[LauncherSpec]] = SlurmOptions

    @staticmethod
    def unavailable_reason() -> str | None:
        """Whether SLURM's commands are here."""
        return None if shutil.which("srun") else INSTALL.format(name="srun")

    def instead(self, arguments: Sequence[str], wanted: Path, *, vendor_named: bool) -> Callable[[], int] | None:
        """Submit, or be an agent, or, as the first task, run the case."""
        if (reason := self.unavailable_reason()) is not None:
            raise HardwareError(reason)
        if "SLURM_JOB_ID" not in os.environ:
            return self._submission(arguments, wanted, vendor_named=vendor_named)
        nodes = self.case.topology.nodes
        if self.case.topology.name != "cluster":
            return None
        tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
        if tasks != nodes or int(os.environ.get("SLURM_STEP_NUM_NODES", "1")) != nodes:
            raise ConfigurationError(
                f"topology.nodes={nodes}, and this step of SLURM has {tasks} tasks on "
                f"{os.environ.get('SLURM_STEP_NUM_NODES', 'one')} nodes. One task per node is needed: "
                f"srun --nodes={nodes} --ntasks-per-node=1 python -m runner …"
            )
        if nodes > 1 and not os.environ.get(KEY_VARIABLE):
            raise ConfigurationError(
                f"The tasks of the step need a key by which they know each other: export {KEY_VARIABLE}="
                '"$(openssl rand -hex 32)" before srun.'
            )
        number = int(os.environ["SLURM_PROCID"])
        if number == 0:
            return None
        command = python("runner.node", *agent_arguments(self.case, self._head_address(), number))
        return lambda: subprocess.call(command)

    def start(self, invitation: Invitation) -> None:
        """Start this machine's agent; the other tasks are on their way by themselves."""
        self.start_here(invitation)

    def listens_at(self) -> str | None:
        """The address at which the other tasks look for the first one."""
        return self._head_address()

    def _head_address(self) -> str:
        address = self.case.launcher.address or first_node_address()
        return address if ":" in address else f"{address}:{self._port()}"

    def _port(self) -> int:
        assert isinstance(self.case.launcher, SlurmOptions)
        return self.case.launcher.port

    def _submission(self, arguments: Sequence[str], wanted: Path, *, vendor_named: bool) -> Callable[[], int]:
        if not vendor_named:
            raise ConfigurationError(
                "launcher=slurm submits to other machines, and the vendor was looked for on this one. Name it: "
                "vendor=NAME, for instance vendor=nvidia."
            )
        return SlurmJob(self.case, arguments, wanted, self.say).run
