"""One run over all nodes: start every node's ranks, take in what they tell, and judge how it ended."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

import yaml

from runner.cluster.facts import boot_id
from runner.cluster.gathering import TICK_S, Gathering, lost
from runner.cluster.member import ANSWER_S, Member
from runner.cluster.receiving import TOKEN, Receiver
from runner.cluster.wire import LostError, Message
from runner.config.schema import Case
from runner.core.errors import BY_NAME, InterruptedRunError, TimedOutError, TouchstoneError, WorkerCrashedError
from runner.core.events import Event, EventTail, Name
from runner.record.run_record import NODES

GRACE_S = 15.0
"""How long the other nodes may take to end once one of them has failed, or all were asked to."""


def run_on_nodes(
    nodes: Gathering,
    case: Case,
    folder: Path,
    *,
    on_event: Callable[[Event], None],
    on_tick: Callable[[], None],
    interrupted: Callable[[], str],
) -> TouchstoneError | None:
    """Run a case's ranks on their nodes to the end; one that fails ends them all.

    Returns:
        What went wrong; None when every rank did all it had to.
    """
    run = _Run(nodes, case, folder, on_event)
    deadline_s = time.monotonic() + (case.run.timeout_s or float("inf"))
    try:
        run.begin()
        while not run.over:
            run.look()
            on_tick()
            if time.monotonic() > deadline_s:
                run.stop()
                return TimedOutError(
                    f"The ranks were still running after run.timeout_s={case.run.timeout_s:g} seconds and were ended. "
                    "Raise run.timeout_s, or look at the nodes' worker.log for what they waited on."
                )
    except KeyboardInterrupt:
        run.stop()
        return InterruptedRunError(interrupted())
    return run.verdict()


class _Run:
    """What goes on between `begin` and the last node's end."""

    def __init__(self, nodes: Gathering, case: Case, folder: Path, on_event: Callable[[Event], None]) -> None:
        self._nodes, self._case, self._folder, self._on_event = nodes, case, folder, on_event
        self._tail = EventTail(folder)
        self._told: list[Event] = []
        self._lost: TouchstoneError | None = None
        self._asked_s: float | None = None
        """When the nodes were asked to end."""
        self._receivers = {one.number: Receiver(folder, one.number, one.clock.offset_s) for one in nodes.in_order()}

    @property
    def over(self) -> bool:
        """Whether every node has ended, or is given up."""
        if self._asked_s is not None and time.monotonic() - self._asked_s > GRACE_S:
            return True
        return all(one.ended is not None for one in self._nodes.members.values())

    def begin(self) -> None:
        """Tell every agent what to run, then, when node 0 has named a port, where the ranks meet."""
        token = secrets.token_hex(16)
        place = self._folder / NODES / TOKEN
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(token)
        self._nodes.save(self._folder)
        told = {
            "case": yaml.safe_load((self._folder / "run.yaml").read_text()),
            "folder": str(self._folder.resolve()),
            "token": token,
            "name": self._nodes.name_of(self._folder),
            "nodes": self._case.topology.nodes,
            "goes_on": (self._folder / "checkpoints").is_dir(),
        }
        for member in self._nodes.in_order():
            member.ended = None
            self._tell(member, "prepare", {**told, "same_machine": member.facts.get("boot_id") == boot_id()})
        port = None
        waited_s = time.monotonic() + ANSWER_S + self._nodes.case.launcher.lost_s
        ready: set[int] = set()
        while self._lost is None and len(ready) < len(self._nodes.members) and time.monotonic() < waited_s:
            for member, message in self._messages():
                if message.kind == "ready":
                    ready.add(member.number)
                    port = message.content["port"] if member.number == 0 else port
                elif message.kind == "ended":
                    member.ended = message
                    ready.add(member.number)
        address = {"master_address": self._nodes.master_address, "master_port": port}
        for member in self._nodes.in_order():
            if member.ended is None:
                self._tell(member, "start", address)

    def look(self) -> None:
        """Take in what has come; the first failure ends the others."""
        for member, message in self._messages():
            if message.kind in ("append", "file"):
                self._receivers[member.number].take(message)
            elif message.kind == "ended":
                member.ended = message
                if message.content["class"] is not None:
                    self._ask_to_end()
        if self._lost is None and (problem := self._nodes.problem) is not None:
            self._lost = WorkerCrashedError(problem)
        if self._lost is not None:
            self._ask_to_end()
        for event in self._tail.new():
            if event.name == Name.ERROR:
                self._told.append(event)
            self._on_event(event)

    def stop(self) -> None:
        """End all ranks and wait for it."""
        self._ask_to_end()
        while not self.over:
            self.look()

    def verdict(self) -> TouchstoneError | None:
        """What went wrong, by whoever knows most of it.

        A node that is gone, or whose ranks died without a word, is the cause; its peers only tell that they lost it.
        """
        if self._lost is not None:
            return self._lost
        failed = [one for one in self._nodes.in_order() if one.ended is not None and one.ended.content["class"]]
        devices = self._case.topology.devices
        assert isinstance(devices, int)
        spoke = {event.rank // devices for event in self._told}
        silent = [one for one in failed if one.number not in spoke]
        if silent:
            return _of_node(silent[0])
        if self._told:
            told = self._told[0].value
            return BY_NAME.get(told["class"], WorkerCrashedError)(told["message"])
        late = [one for one in self._nodes.in_order() if one.ended is None]
        if late:
            return WorkerCrashedError(f"{late[0].name} did not end when it was asked to.")
        return _of_node(failed[0]) if failed else None

    def _messages(self) -> list[tuple[Member, Message]]:
        """What has come within a tick, from whomever; a node that is gone is noted."""
        found: list[tuple[Member, Message]] = []
        alive = [one for one in self._nodes.members.values() if not self._gone(one)]
        if not alive:
            time.sleep(TICK_S)
            return found
        ready = {id(one) for one in wait([one.line.connection for one in alive], timeout=TICK_S)}
        for member in alive:
            try:
                while id(member.line.connection) in ready and (message := member.receive()) is not None:
                    found.append((member, message))
                member.stay_in_touch()
                if time.monotonic() - member.heard_s > self._nodes.case.launcher.lost_s:
                    raise LostError(f"nothing was heard of it for {self._nodes.case.launcher.lost_s:g} s")
            except LostError as error:
                self._lose(member, error)
        return found

    @staticmethod
    def _gone(member: Member) -> bool:
        return member.ended is not None and member.ended.kind == "gone"

    def _lose(self, member: Member, error: BaseException) -> None:
        if self._lost is None and member.ended is None:
            self._lost = lost(member, error)
        member.ended = Message(kind="gone", content={"class": None, "message": ""})

    def _tell(self, member: Member, kind: str, content: dict[str, object]) -> None:
        try:
            member.line.send(kind, content)
        except LostError as error:
            self._lose(member, error)

    def _ask_to_end(self) -> None:
        if self._asked_s is not None:
            return
        self._asked_s = time.monotonic()
        for member in self._nodes.in_order():
            if member.ended is None:
                self._tell(member, "stop", {})


def _of_node(member: Member) -> TouchstoneError:
    """A failure that a node's agent told, with the node's name."""
    assert member.ended is not None
    told = member.ended.content
    return BY_NAME.get(told["class"], WorkerCrashedError)(f"On {member.name}: {told['message']}")
