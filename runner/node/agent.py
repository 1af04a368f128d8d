"""The agent of one node: waits for runs, starts the node's ranks and meters for each, and sends on what they tell."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runner.cluster.facts import node_facts
from runner.cluster.member import ALIVE_S
from runner.cluster.place import NodePlace, free_port, interface_towards
from runner.cluster.wire import LostError, Message, Wire
from runner.commandline.explain import explain
from runner.config.schema import Case, case_from_dict
from runner.core.errors import ConfigurationError, InterruptedRunError, TouchstoneError, WorkerCrashedError
from runner.core.events import EventWriter, Name
from runner.core.lock import let_go
from runner.core.storage import storage_error
from runner.launch.attempt import attempt
from runner.launch.sampling import end_sampler, start_meters
from runner.measure.context import AUTOLOAD_VARIABLE, PARENT_VARIABLE, SHARED_VARIABLE
from runner.measure.step_records import StepsFile
from runner.node.forwarding import Forwarder
from runner.node.workplace import Workplace, prepare

WAIT_S = 1.0
"""Between two signs of life while no run goes on."""


class Agent:
    """One node's, for as long as the head is there."""

    def __init__(self, line: Wire, number: int, root: Path, *, lost_s: float, say: Callable[[str], None]) -> None:
        self._line, self._number, self._root, self._lost_s, self._say = line, number, root, lost_s, say
        self._heard_s = self._told_s = time.monotonic()
        self._stop = self._home = False
        self._place: NodePlace | None = None

    def serve(self) -> int:
        """Do what the head asks until it sends this agent home; returns the exit code."""
        # A scheduler asks every process of a job to end; the head, which is asked too, ends the run in good order.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        try:
            self._line.send("hello", {"number": self._number})
            while not self._home:
                message = self._next(WAIT_S)
                if message is None:
                    continue
                if message.kind == "refused":
                    self._say(f"Error: {message.content['message']}")
                    return ConfigurationError.exit_code
                if message.kind == "describe":
                    self._line.send("facts", self._facts(message))
                if message.kind == "prepare":
                    self._run(message)
        except LostError as error:
            self._say(f"The runner is gone: {error}. This agent ends, too.")
            return WorkerCrashedError.exit_code
        return 0

    def _next(self, timeout_s: float) -> Message | None:
        """The next message that is not answered here.

        Raises:
            LostError: the head is gone.
        """
        message = self._line.receive(timeout_s)
        now_s = time.monotonic()
        if message is not None:
            self._heard_s = now_s
        elif now_s - self._heard_s > self._lost_s:
            raise LostError(f"nothing was heard of it for {self._lost_s:g} s")
        if now_s - self._told_s >= ALIVE_S:
            self._told_s = now_s
            self._line.send("alive")
        if message is None or message.kind == "alive":
            return None
        if message.kind == "time":
            self._line.send("time", {"unix_s": time.time()})
            return None
        self._stop = self._stop or message.kind in ("stop", "bye")
        self._home = self._home or message.kind == "bye"
        return message

    def _facts(self, message: Message) -> dict[str, Any]:
        """What this node is, or why it cannot take part."""
        try:
            return node_facts(case_from_dict(message.content["case"]), self._root)
        except (ValidationError, ValueError, OSError, TouchstoneError) as error:
            return {"host": socket.gethostname(), "problem": explain(error)}

    def _run(self, message: Message) -> None:
        """One run: prepare, wait for where the ranks meet, run them, tell how they ended."""
        self._stop, self._place = False, None
        workplace: Workplace | None = None
        failure: TouchstoneError | None = None
        try:
            workplace = prepare(message.content, self._number, self._root)
            self._say(f"{workplace.case.name}: in {workplace.folder}")
            self._line.send("ready", {"port": free_port()})
            self._await_start(int(message.content["nodes"]))
            if self._place is not None:
                failure = self._ranks(workplace, self._place)
        except TouchstoneError as error:
            failure = error
        except LostError:
            raise
        except OSError as error:  # of this node's own files
            failure = storage_error(error, workplace.folder if workplace else self._root)
        finally:
            if workplace is not None and workplace.own:
                let_go(workplace.folder)
        # What was ended because the head asked for it is no failure of this node's.
        told = None if self._stop else failure
        end = {"class": type(told).__name__ if told else None, "message": str(told or ""), "stopped": self._stop}
        self._line.send("ended", end)
        self._say("ended" if failure is None else f"ended: {failure}")

    def _await_start(self, nodes: int) -> None:
        while self._place is None and not self._stop:
            message = self._next(WAIT_S)
            if message is not None and message.kind == "start":
                self._place = NodePlace(
                    node=self._number,
                    nodes=nodes,
                    master_address=str(message.content["master_address"]),
                    master_port=int(message.content["master_port"]),
                )

    def _ranks(self, workplace: Workplace, place: NodePlace) -> TouchstoneError | None:
        """Meters and ranks of one run, to their end."""
        case, folder = workplace.case, workplace.folder
        StepsFile.create(folder / "steps.csv")
        environment = {PARENT_VARIABLE: str(os.getpid()), AUTOLOAD_VARIABLE: "0"}
        environment[SHARED_VARIABLE] = str(workplace.shared)
        environment |= interface_towards(place.master_address)
        forwarder = None if workplace.read_by_head else Forwarder(self._line, folder)
        events = EventWriter(folder / "events" / f"rank{self._first_rank(case)}.log", rank=self._first_rank(case))

        def warn(text: str) -> None:
            events.emit(Name.WARNING, {"message": f"On node {self._number}: {text}"})

        def tick() -> None:
            if forwarder is not None:
                forwarder.forward()
            while self._next(0.0) is not None:
                pass

        def asked(_: int) -> TouchstoneError | None:
            return InterruptedRunError("The head asked this node to end.") if self._stop else None

        with ExitStack() as stack:
            sampler = start_meters(case, folder, warn)
            if sampler is not None:
                stack.callback(end_sampler, sampler, warn, soon=lambda: self._stop)
                environment |= sampler.environment
            failure = attempt(
                case,
                folder,
                environment,
                forked=False,
                on_event=lambda _: None,
                on_tick=tick,
                guard=asked,
                place=place,
            )
        if forwarder is not None:
            forwarder.finish(files=not workplace.visible)
        return failure

    def _first_rank(self, case: Case) -> int:
        assert isinstance(case.topology.devices, int)
        return self._number * case.topology.devices
