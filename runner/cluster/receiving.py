"""What a node's agent sends lands in the run folder: events and steps beside the head's own, other files apart."""

from __future__ import annotations

import json
import os
from pathlib import Path

from runner.cluster.wire import Message
from runner.core.events import PREFIX
from runner.core.storage import write_all
from runner.record.run_record import NODES

TOKEN = "token"
"""File of the folder `nodes`: an agent that reads what the head wrote there sees the same folder."""


class Receiver:
    """Writes what one node sends; no name leads out of the run folder, whatever is sent."""

    def __init__(self, folder: Path, node: int, offset_s: float) -> None:
        self._folder, self._node = folder, node
        self._offset_ms = round(offset_s * 1000)

    def take(self, message: Message) -> None:
        """Write what a message of the kind `append` or `file` brings.

        Raises:
            OSError: it cannot be written.
            ValueError: its name leads elsewhere.
        """
        name = str(message.content["file"])
        if message.kind == "append":
            events = name.startswith("events/")
            data = self._on_our_clock(message.data) if events else message.data
            self._write(within(self._folder, name), data, os.O_APPEND)
            return
        base = self._folder if self._node == 0 else self._folder / NODES / str(self._node)
        first = bool(message.content["first"])
        self._write(within(base, name), message.data, os.O_TRUNC if first else os.O_APPEND)

    def _write(self, path: Path, data: bytes, how: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o644)
        try:
            write_all(file, data)
        finally:
            os.close(file)

    def _on_our_clock(self, lines: bytes) -> bytes:
        """Events with their wall-clock time as of the head's clock; the monotonic one stays the node's own."""
        return b"".join(self._shifted(line) for line in lines.splitlines(keepends=True))

    def _shifted(self, line: bytes) -> bytes:
        text = line.decode(errors="replace")
        try:
            event = json.loads(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else None
            if event is None or not self._offset_ms:
                return line
            event["metadata"]["time_ms"] -= self._offset_ms
        except (ValueError, KeyError, TypeError):
            return line
        return f"{PREFIX}{json.dumps(event)}\n".encode()


def within(folder: Path, name: str) -> Path:
    """The file of a relative name below a folder.

    Raises:
        ValueError: the name leads out of it.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} leads out of {folder}")
    return path
