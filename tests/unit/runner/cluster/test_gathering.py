"""The head waits for every node, names those that do not come, and refuses those that do not fit."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from case_samples import make_case

from runner.cluster import gathering as gathering_module
from runner.cluster.gathering import Gathering, split_address
from runner.cluster.wire import Wire, connect
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError, TimedOutError
from runner.launchers.base import Invitation, Launcher

FACTS: dict[str, Any] = {
    "host": "a",
    "boot_id": "1",
    "kernel": "k",
    "python": "3.11.7",
    "packages": {"torch": "2.9.0"},
    "source": "s",
    "driver": "1",
    "cpu": "c",
    "cores": 8,
    "memory_gib": 64.0,
    "devices": {"visible": None, "chips": None},
    "folder": "/f",
    "free_gib": 100.0,
}


class Fake(Launcher):
    """Starts agents that say what a test wants, as threads."""

    agents: ClassVar[list[Callable[[Invitation], None]]] = []

    @staticmethod
    def unavailable_reason() -> str | None:
        return None

    def start(self, invitation: Invitation) -> None:
        for agent in self.agents:
            threading.Thread(target=agent, args=(invitation,), daemon=True).start()


def _agent(number: int, *, ahead_s: float = 0.0, **facts: Any) -> Callable[[Invitation], None]:
    """An agent that introduces itself and tells its time until it is sent home."""

    def serve(invitation: Invitation) -> None:
        port = int(invitation.address.rpartition(":")[2])
        line: Wire = connect("127.0.0.1", port, invitation.key, wait_s=5.0)
        line.send("hello", {"number": number})
        with contextlib.suppress(EOFError, OSError):  # the head has hung up
            while (message := line.receive(10.0)) is not None and message.kind not in ("bye", "refused"):
                if message.kind == "describe":
                    line.send("facts", {**FACTS, **facts})
                elif message.kind == "time":
                    line.send("time", {"unix_s": time.time() + ahead_s})

    return serve


@pytest.fixture
def gather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Gathering]:
    def make(*agents: Callable[[Invitation], None], nodes: int = 2, wait_s: float = 5.0) -> Gathering:
        monkeypatch.setattr(Fake, "agents", list(agents))
        monkeypatch.setattr(gathering_module, "LAUNCHERS", SimpleNamespace(find=lambda _: Fake))
        case: Case = make_case(topology={"name": "cluster", "nodes": nodes, "devices": 1})
        case.launcher.wait_s = wait_s
        return Gathering(case, tmp_path, say=lambda _: None)

    return make


def test_all_nodes_come(gather: Callable[..., Gathering]) -> None:
    gathering = gather(_agent(1, host="b"), _agent(0))
    gathering.gather()
    try:
        assert [one.name for one in gathering.in_order()] == ["node 0 (a)", "node 1 (b)"]
        assert gathering.ranks_of(1) == [1] and gathering.warnings == []
        assert gathering.master_address == "127.0.0.1"
    finally:
        gathering.close()


def test_a_node_that_does_not_come_is_named(gather: Callable[..., Gathering]) -> None:
    gathering = gather(_agent(0), _agent(2), nodes=4, wait_s=1.0)
    with pytest.raises(TimedOutError, match=r"Nodes 1, 3 of 4 did not come within launcher\.wait_s=1 seconds"):
        gathering.gather()
    gathering.close()


def test_a_clock_that_is_a_minute_ahead_is_told_and_measured(gather: Callable[..., Gathering]) -> None:
    gathering = gather(_agent(0), _agent(1, ahead_s=60.0, host="b"))
    gathering.gather()
    gathering.close()
    (warning,) = gathering.warnings
    assert "node 1 (b) is 60.0 s ahead of the runner's" in warning
    assert gathering.members[1].clock.offset_s == pytest.approx(60.0, abs=0.5)


def test_nodes_of_different_versions_do_not_start(gather: Callable[..., Gathering]) -> None:
    gathering = gather(_agent(0), _agent(1, host="b", packages={"torch": "2.8.0"}))
    with pytest.raises(HardwareError, match=r"differ in torch: 2\.9\.0 on node 0 \(a\); 2\.8\.0 on node 1 \(b\)"):
        gathering.gather()
    gathering.close()


def test_a_node_that_cannot_take_part_says_why(gather: Callable[..., Gathering]) -> None:
    gathering = gather(_agent(0), _agent(1, problem="the case is of a newer version"))
    with pytest.raises(ConfigurationError, match=r"node 1 \(a\) cannot take part: the case is of a newer version"):
        gathering.gather()
    gathering.close()


def test_a_number_that_is_taken_or_too_high_is_refused(gather: Callable[..., Gathering]) -> None:
    gathering = gather(_agent(0), _agent(0), _agent(7), wait_s=1.0)
    with pytest.raises(TimedOutError, match=r"Node 1 of 2 did not come"):
        gathering.gather()
    assert list(gathering.members) == [0]
    gathering.close()


def test_addresses() -> None:
    assert split_address("head.cluster:29400") == ("head.cluster", 29400)
    assert split_address("10.0.0.1") == ("10.0.0.1", 0)
    with pytest.raises(ConfigurationError, match="is no port"):
        split_address("head:http")
