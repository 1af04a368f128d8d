"""The head: waits for an agent from every node, compares them, and keeps them through all the runs of a case."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from runner.cluster.agreement import disagreements
from runner.cluster.member import ANSWER_S, Member
from runner.cluster.wire import LostError, Wire, accept, listen, new_key
from runner.config.checks import on_host
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError, TimedOutError, TouchstoneError, WorkerCrashedError
from runner.core.registries import LAUNCHERS
from runner.launchers.base import Invitation, Launcher
from runner.record.run_record import NODES_FILE

DESCRIBED_S = 30.0
"""How long an agent may take to say what its machine is: a cold disk reads packages slowly."""
TICK_S = 0.25
"""Between two looks around."""


class Gathering:
    """The nodes of one case, once `gather` has returned."""

    def __init__(self, case: Case, folder: Path, *, say: Callable[[str], None]) -> None:
        self.case, self.folder, self.say = case, folder, say
        self.members: dict[int, Member] = {}
        self.warnings: list[str] = []
        """What a reader of the result must know of the nodes."""
        self._launcher: Launcher = LAUNCHERS.find(case.launcher.name)(case, say)
        self._listener: socket.socket | None = None

    def gather(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Have the agents started and wait for all of them; nothing happens when they are here already.

        Raises:
            TimedOutError: not all came in time; names those that did not.
            HardwareError: they do not fit together.
            TouchstoneError: the launcher cannot start them.
        """
        if self._listener is not None:
            return
        host, port = split_address(self._launcher.listens_at())
        try:
            self._listener = listen(port)
        except OSError as error:
            raise ConfigurationError(
                f"launcher.address: port {port} cannot be listened on: {error.strerror}. Choose another one."
            ) from error
        key, nodes = new_key(), self.case.topology.nodes
        address = f"{host}:{self._listener.getsockname()[1]}"
        self._launcher.start(Invitation(address=address, key=key, nodes=nodes, folder=self.folder))
        deadline_s = time.monotonic() + self.case.launcher.wait_s
        while len(self.members) < nodes:
            if time.monotonic() > deadline_s:
                raise self._missing()
            if (problem := self._launcher.problem()) is not None:
                raise WorkerCrashedError(problem)
            if wait([self._listener], timeout=TICK_S):
                self._welcome(key)
            for member in list(self.members.values()):
                self._watch(member)
            on_tick()
        self._compare()

    def save(self, folder: Path) -> None:
        """Write what the nodes are into a run's folder."""
        told = [
            {"node": one.number, "ranks": self.ranks_of(one.number), "clock": asdict(one.clock), **one.facts}
            for one in self.in_order()
        ]
        (folder / NODES_FILE).write_text(json.dumps(told, indent=1) + "\n")

    def in_order(self) -> list[Member]:
        """The nodes by number."""
        return [self.members[number] for number in sorted(self.members)]

    def ranks_of(self, node: int) -> list[int]:
        """The ranks that run on a node."""
        devices = self.case.topology.devices
        assert isinstance(devices, int)
        return list(range(node * devices, (node + 1) * devices))

    def name_of(self, folder: Path) -> str:
        """A run's folder as a short relative path: of a repeat, below that of the whole."""
        whole = self.folder.resolve()
        return f"{whole.parent.name}_{whole.name}/{folder.resolve().relative_to(whole)}"

    @property
    def master_address(self) -> str:
        """Of node 0, as the other nodes reach it: as a number, for names may lead each machine elsewhere."""
        first = self.members[0]
        if not _is_loopback(first.line.peer):
            return first.line.peer
        others = (one.line.local for one in self.members.values() if not _is_loopback(one.line.peer))
        return next(others, first.line.peer)

    @property
    def problem(self) -> str | None:
        """What the launcher knows of agents that will not answer any more."""
        return self._launcher.problem()

    def close(self) -> None:
        """Send the agents home."""
        for member in self.members.values():
            with contextlib.suppress(OSError):
                member.line.send("bye")
        self._launcher.stop()
        for member in self.members.values():
            member.line.close()
        if self._listener is not None:
            self._listener.close()

    def _welcome(self, key: str) -> None:
        """Take in whoever waits at the door, if it is one of this case's nodes and not there yet."""
        assert self._listener is not None
        line = accept(self._listener, key)
        if line is None:
            return
        try:
            hello = line.receive(ANSWER_S)
            number = int(hello.content["number"]) if hello is not None and hello.kind == "hello" else -1
            refusal = self._refusal(number)
            if refusal is not None:
                line.send("refused", {"message": refusal})
                line.close()
                return
            line.send("describe", {"case": self.case.to_dict()})
            facts = _facts(line)
        except (LostError, KeyError, ValueError, TypeError):
            line.close()  # whoever it was: it is waited for anew
            return
        member = Member(number=number, line=line, facts=facts)
        if (problem := facts.get("problem")) is not None:
            raise ConfigurationError(f"{member.name} cannot take part: {problem}")
        self.members[number] = member
        self.say(f"{member.name} is here ({len(self.members)} of {self.case.topology.nodes})")

    def _refusal(self, number: int) -> str | None:
        nodes = self.case.topology.nodes
        if not 0 <= number < nodes:
            return f"This case has nodes 0 to {nodes - 1}, not {number}."
        return f"Node {number} is here already: {self.members[number].name}." if number in self.members else None

    def _watch(self, member: Member) -> None:
        """While the others are waited for: one that has gone is waited for anew."""
        try:
            member.receive()
            member.stay_in_touch()
        except LostError:
            del self.members[member.number]
            self.say(f"{member.name} has gone again")

    def _compare(self) -> None:
        for member in self.in_order():
            try:
                member.compare_clocks()
            except LostError as error:
                raise lost(member, error) from error
            member.facts["clock_offset_s"] = member.clock.offset_s
        told = [{"node": one.number, **one.facts} for one in self.in_order()]
        devices = None if on_host(self.case) else self.case.topology.devices
        assert not isinstance(devices, str)
        found = disagreements(told, devices=devices)
        self.warnings += found.warned
        if found.refused:
            raise HardwareError(f"The nodes do not fit together. {' '.join(found.refused)}")

    def _missing(self) -> TouchstoneError:
        nodes = self.case.topology.nodes
        missing = [str(number) for number in range(nodes) if number not in self.members]
        who = f"Node {missing[0]}" if len(missing) == 1 else f"Nodes {', '.join(missing)}"
        return TimedOutError(
            f"{who} of {nodes} did not come within launcher.wait_s={self.case.launcher.wait_s:g} seconds. Start the "
            "printed command there, see that it reaches this machine (a firewall? launcher.address=HOST:PORT sets "
            "how), or raise launcher.wait_s."
        )


def _facts(line: Wire) -> dict[str, Any]:
    """What an agent answers when it is asked what it is.

    Raises:
        LostError: it is gone, or answers something else.
    """
    told = line.receive(DESCRIBED_S)
    if told is None or told.kind != "facts":
        raise LostError("the agent did not say what it is")
    return told.content


def lost(member: Member, error: BaseException | str) -> WorkerCrashedError:
    """What is said when a node is gone in the middle."""
    return WorkerCrashedError(
        f"The connection to the agent of {member.name} was lost: {str(error) or type(error).__name__}. The machine or "
        "the agent there has ended. The other nodes' ranks were ended too; what was measured so far is kept."
    )


def split_address(address: str | None) -> tuple[str, int]:
    """Host and port of `launcher.address`; this machine's name, and 0 for any free port.

    Raises:
        ConfigurationError: the port is no number.
    """
    host, _, port = (address or "").partition(":") if (address or "").count(":") < 2 else (address, "", "")  # noqa: PLR2004
    if port and not (port.isdigit() and int(port) < 2**16):
        raise ConfigurationError(f"launcher.address={address}: the part after ':' is no port.")
    return host or socket.gethostname(), int(port or 0)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
