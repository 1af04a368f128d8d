"""Only who knows the key is heard, and what is sent arrives as it was."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from typing import Any

import pytest

from runner.cluster import wire
from runner.cluster.clock import clock_offset
from runner.cluster.wire import Wire, accept, connect, listen


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    opened = listen()
    yield opened
    opened.close()


def _meet(listener: socket.socket, key: str, other: str) -> tuple[Wire | None, Any]:
    """What the head and the agent each have of a meeting."""
    found: list[Any] = []

    def come() -> None:
        try:
            found.append(connect("127.0.0.1", listener.getsockname()[1], other, wait_s=0.0))
        except (OSError, EOFError, AuthenticationError) as error:
            found.append(error)

    agent = threading.Thread(target=come)
    agent.start()
    line = accept(listener, key)
    agent.join()
    return line, found[0]


def test_messages_arrive_as_they_were_sent(listener: socket.socket) -> None:
    head, agent = _meet(listener, "ab" * 32, "ab" * 32)
    assert isinstance(head, Wire) and isinstance(agent, Wire)
    agent.send("append", {"file": "events/rank1.log"}, b"\x00\xff" * 70_000)
    head.send("stop")
    told, asked = head.receive(5.0), agent.receive(5.0)
    assert told is not None and told.kind == "append" and told.content == {"file": "events/rank1.log"}
    assert told.data == b"\x00\xff" * 70_000
    assert asked is not None and asked.kind == "stop" and asked.data == b""
    assert head.receive(0.0) is None, "nothing more was sent"
    assert (head.peer, agent.peer, head.local) == ("127.0.0.1", "127.0.0.1", "127.0.0.1")


def test_who_knows_another_key_is_not_heard(listener: socket.socket) -> None:
    head, agent = _meet(listener, "ab" * 32, "cd" * 32)
    assert head is None
    assert isinstance(agent, AuthenticationError | EOFError | OSError)


def test_who_says_nothing_does_not_hold_the_head_up(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "GREETING_S", 0.2)
    with socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
        assert accept(listener, "ab" * 32) is None


def test_what_is_no_message_ends_the_connection(listener: socket.socket) -> None:
    head, agent = _meet(listener, "ab" * 32, "ab" * 32)
    assert isinstance(head, Wire) and isinstance(agent, Wire)
    agent.connection.send_bytes(b"[1, 2]")
    agent.connection.send_bytes(b"")
    with pytest.raises(OSError, match="no message"):
        head.receive(5.0)


def test_a_closed_connection_is_told(listener: socket.socket) -> None:
    head, agent = _meet(listener, "ab" * 32, "ab" * 32)
    assert isinstance(head, Wire) and isinstance(agent, Wire)
    agent.close()
    with pytest.raises((EOFError, OSError)):
        head.receive(5.0)


def test_an_offset_is_that_of_the_quickest_answer() -> None:
    # Trips of 4 s and 2 s; the other clock is 60 s ahead, and told 0.5 s late on the way of the slow trip.
    times = iter([100.0, 104.0, *(value for _ in range(7) for value in (200.0, 202.0))])
    answers = iter([162.5, *([261.0] * 7)])
    found = clock_offset(lambda: next(answers), clock=lambda: next(times))
    assert (found.offset_s, found.uncertainty_s) == (60.0, 1.0)
