"""`launcher=local`: this machine is the first node; for each further one the command is printed, to be given there."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from hardware.child import environment_of_child, python
from runner.config.schema import Case
from runner.core.errors import WorkerCrashedError
from runner.launchers.base import KEY_VARIABLE, Invitation, Launcher, agent_arguments

END_S = 5.0
"""How long the first node's agent may take to end once it was sent home."""


class Local(Launcher):
    """Starts the first node's agent itself."""

    _agent: subprocess.Popen[bytes] | None = None
    _log: Path | None = None

    @staticmethod
    def unavailable_reason() -> str | None:
        """It needs nothing."""
        return None

    def start(self, invitation: Invitation) -> None:
        """Start this machine's agent and print the commands of the others.

        Raises:
            WorkerCrashedError: the agent cannot be started.
        """
        self.start_here(invitation)
        if invitation.nodes > 1:
            self.say(commands_for_people(self.case, invitation))

    def start_here(self, invitation: Invitation) -> None:
        """Start this machine's agent, as node 0.

        Raises:
            WorkerCrashedError: it cannot be started.
        """
        port = invitation.address.rpartition(":")[2]
        self._log = invitation.folder / "agent.log"
        command = python("runner.node", *agent_arguments(self.case, f"127.0.0.1:{port}", 0))
        try:
            with self._log.open("ab") as output:
                self._agent = subprocess.Popen(
                    command,
                    env=environment_of_child({KEY_VARIABLE: invitation.key}),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the runner, which ends the agent in good order
                )
        except OSError as error:
            raise WorkerCrashedError(f"The agent of this machine could not be started: {error}.") from error

    def problem(self) -> str | None:
        """Whether this machine's agent has ended, while it is needed."""
        if self._agent is None or self._agent.poll() is None:
            return None
        return f"The agent of this machine ended with status {self._agent.returncode}. {_last_words(self._log)}".strip()

    def stop(self) -> None:
        """End it, should it not have ended by itself."""
        if self._agent is None:
            return
        try:
            self._agent.wait(END_S)
        except subprocess.TimeoutExpired:
            self._agent.kill()
            self._agent.wait()


def commands_for_people(case: Case, invitation: Invitation) -> str:
    """What is to be typed on each further node, as it is."""
    lines = [
        f"  {KEY_VARIABLE}={invitation.key} "
        + shlex.join(["python", "-m", "runner.node", *agent_arguments(case, invitation.address, number)])
        for number in range(1, invitation.nodes)
    ]
    nodes = "node 1" if invitation.nodes == 2 else f"nodes 1 to {invitation.nodes - 1}"  # noqa: PLR2004
    first = f"Waiting up to {case.launcher.wait_s:g} s for {nodes}. Give there, in an environment like this one:"
    return "\n".join([first, *lines])


def _last_words(log: Path | None) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log and log.exists() else []
    return f"The end of {log}: {lines[-1]}" if lines else ""
