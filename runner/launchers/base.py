"""What a launcher must do to be chosen with `launcher=`: bring an agent to every node of a case."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from runner.config.schema import Case, LauncherSpec

KEY_VARIABLE = "TOUCHSTONE_CLUSTER_KEY"
"""Environment variable: the key of a run, in hexadecimal digits; on a command line other users would see it."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Invitation:
    """What an agent must know to come: where the runner waits for it, and the key by which each knows the other."""

    address: str
    """`HOST:PORT`, as the nodes reach it."""
    key: str
    """Hexadecimal digits; a secret of this run."""
    nodes: int
    folder: Path
    """The run's, where a launcher may leave the logs of what it starts."""


class Launcher(ABC):
    """Brings an agent (`runner.node`) to every node of one case."""

    options: ClassVar[type[LauncherSpec]] = LauncherSpec
    """The typed form of `conf/launcher/<name>.yaml`."""
    here: ClassVar[bool] = True
    """Whether this machine is the case's first node, so that its devices can be looked at before anything starts."""

    def __init__(self, case: Case, say: Callable[[str], None]) -> None:
        self.case, self.say = case, say

    @staticmethod
    @abstractmethod
    def unavailable_reason() -> str | None:
        """Why it cannot be used on this machine, and what to do; None when it can. Quick, imports nothing heavy."""

    def instead(self, arguments: Sequence[str], wanted: Path, *, vendor_named: bool) -> Callable[[], int] | None:
        """What this process does in the place of running the case; None when it is the one that runs it.

        Asked before anything is written: a scheduler's launcher hands the command line on, or finds that this process
        is one of several that were started with the same one.

        Args:
            arguments: the whole command line.
            wanted: the run's folder, as far as nobody else takes it.
            vendor_named: whether the command line names the vendor; otherwise it was found on this machine.

        Returns:
            What to do, which returns the exit code.

        Raises:
            TouchstoneError: this process can be neither.
        """
        return None

    @abstractmethod
    def start(self, invitation: Invitation) -> None:
        """Start the agents, or say how people start them; returns at once.

        Raises:
            TouchstoneError: none of them can be started.
        """

    def listens_at(self) -> str | None:
        """`HOST:PORT` or `HOST` at which the agents look for the runner; None: this machine's name, any free port."""
        return self.case.launcher.address

    def problem(self) -> str | None:
        """Why an agent will never come, or come back, as far as the launcher knows; None while all is well."""
        return None

    def stop(self) -> None:  # noqa: B027 -- most have nothing left once the agents have ended
        """End what was started and has not ended by itself; called once, whatever happened."""


def agent_arguments(case: Case, address: str, number: int) -> list[str]:
    """What follows `python -m runner.node` on a node.

    Args:
        case: what is run.
        address: `HOST:PORT` of the runner, as this node reaches it.
        number: the node's.
    """
    waits = ["--wait", f"{case.launcher.wait_s:g}", "--lost", f"{case.launcher.lost_s:g}"]
    return [address, str(number), "--root", case.run.root, *waits]
