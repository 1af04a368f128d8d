"""Messages between the head and an agent: JSON with bytes beside it, over TCP, between two who know the same key.

Nothing that is received is executed: a message is data, whoever sent it. The key keeps strangers of the network out.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

from runner.launchers.base import KEY_VARIABLE

GREETING_S = 10.0
"""How long whoever connects may take to prove that it knows the key."""
STUCK_S = 60.0
"""How long one message may take that has begun."""
MOST_BYTES = 64 * 2**20
"""Of one message."""
GONE = (EOFError, OSError, AuthenticationError)
"""What a connection raises that is no longer there, or that a stranger opened."""
_RETRY_S = 0.5


class LostError(ConnectionError):
    """The other side is gone; the message says how that showed."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Message:
    """What one side tells the other."""

    kind: str
    content: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""


class Wire:
    """One connection, after both have proved that they know the key."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """For `multiprocessing.connection.wait`."""
        with contextlib.suppress(OSError):
            self.local, self.peer = _addresses(connection.fileno())

    local = peer = ""
    """Addresses of this end and of the other one, as numbers."""

    def send(self, kind: str, content: Mapping[str, Any] | None = None, data: bytes = b"") -> None:
        """Send one message.

        Raises:
            LostError: the other side is gone.
        """
        try:
            self.connection.send_bytes(json.dumps({"kind": kind, "content": dict(content or {})}).encode())
            self.connection.send_bytes(data)
        except OSError as error:
            raise LostError(_said(error)) from error

    def receive(self, timeout_s: float) -> Message | None:
        """The next message; None when none has come in time.

        Raises:
            LostError: the other side is gone, or has sent what is no message.
        """
        try:
            if not self.connection.poll(timeout_s):
                return None
            header = self.connection.recv_bytes(MOST_BYTES)
            data = self.connection.recv_bytes(MOST_BYTES)
        except (EOFError, OSError) as error:
            raise LostError(_said(error)) from error
        try:
            read = json.loads(header)
            return Message(kind=str(read["kind"]), content=dict(read["content"]), data=data)
        except (ValueError, KeyError, TypeError) as error:
            raise LostError(f"what came is no message: {error}") from error

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


def _said(error: BaseException) -> str:
    return str(error) or ("it hung up" if isinstance(error, EOFError) else type(error).__name__)


def new_key() -> str:
    """A key that nobody guesses; the one of the environment where a launcher has given all nodes the same."""
    return os.environ.get(KEY_VARIABLE) or secrets.token_hex(32)


def listen(port: int = 0) -> socket.socket:
    """A socket that waits for agents on every address of this machine; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def accept(listener: socket.socket, key: str) -> Wire | None:
    """Take the connection that waits; None for a stranger's."""
    with contextlib.suppress(*GONE):
        opened, _ = listener.accept()
        return _greeted(opened, key, first=True)
    return None


def connect(host: str, port: int, key: str, *, wait_s: float) -> Wire:
    """Reach the head, which may not be there yet.

    Raises:
        OSError: it was not reached in time; says what it answered last.
        AuthenticationError: it knows another key.
    """
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return _greeted(socket.create_connection((host, port), timeout=GREETING_S), key, first=False)
        except AuthenticationError:
            raise
        except GONE:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(_RETRY_S)


def _greeted(opened: socket.socket, key: str, *, first: bool) -> Wire:
    """Prove to each other that both know the key; whoever says nothing must not block the other."""
    opened.settimeout(None)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _wait_at_most(opened, GREETING_S)
    connection = Connection(os.dup(opened.fileno()))
    secret = bytes.fromhex(key)
    try:
        for deliver in (first, not first):
            (deliver_challenge if deliver else answer_challenge)(connection, secret)
        _wait_at_most(opened, STUCK_S)
    except BaseException:
        connection.close()
        raise
    finally:
        opened.close()
    return Wire(connection)


def _wait_at_most(opened: socket.socket, seconds: float) -> None:
    """Let no reading and no writing of a connection take longer: the other machine may have frozen in the middle."""
    interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))  # struct timeval
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        opened.setsockopt(socket.SOL_SOCKET, option, interval)


def _addresses(file: int) -> tuple[str, str]:
    """Local and remote address of a socket."""
    with socket.socket(fileno=os.dup(file)) as one:
        return _plain(one.getsockname()[0]), _plain(one.getpeername()[0])


def _plain(address: str) -> str:
    """An IPv4 address that IPv6's sockets show as one of theirs, as itself."""
    return address.removeprefix("::ffff:")
