"""An HTTP relay on loopback: a gate that asks for credentials, or a proxy that is asked for whole addresses."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = ("connection", "transfer-encoding", "content-length", "proxy-connection", "host", "proxy-authorization")


@dataclass(kw_only=True, slots=True)
class Relay:
    """What a relay does, and what it was asked."""

    target: int
    """The port everything is handed to."""
    accepted: Sequence[str] = ()
    """Values of the `Authorization` header it lets pass; empty: all."""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """The addresses of the requests, as they were sent."""
    refused: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    relay: Relay


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        relay = self.server.relay
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        relay.asked.append(self.path)
        if relay.accepted and self.headers.get("Authorization") not in relay.accepted:
            relay.refused += 1
            self._answer(401, {"Content-Type": "text/plain"}, b"who are you?")
            return
        parts = urlsplit(self.path)
        place = f"{parts.path}?{parts.query}" if parts.query else parts.path
        passed = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        connection = http.client.HTTPConnection("127.0.0.1", relay.target, timeout=60)
        try:
            connection.request(self.command, place, body, passed | {"Host": f"127.0.0.1:{relay.target}"})
            answer = connection.getresponse()
            content = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            self._answer(answer.status, kept, content)
        finally:
            connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def relaying(target: int, *, accepted: Sequence[str] = ()) -> Iterator[Relay]:
    """A relay that runs for a while."""
    relay = Relay(target=target, accepted=accepted)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.relay, relay.port = relay, server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield relay
        server.shutdown()
