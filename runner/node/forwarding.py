"""Sends on what a node's ranks write where the head cannot read it: events at once, other files at the end."""

from __future__ import annotations

from pathlib import Path

from runner.cluster.wire import Wire
from runner.core.events import event_files

CHUNK_BYTES = 2**20
STEPS = "steps.csv"
SENT_AT_END = ("power.csv*", "worker.log", "skipped/*", "checkpoints/*.ckpt")
"""Of a node's folder, as patterns."""


class Forwarder:
    """Follows the files of one run on this node, from what they hold when it begins."""

    def __init__(self, line: Wire, folder: Path) -> None:
        self._line, self._folder = line, folder
        self._offsets = {path: path.stat().st_size for path in self._followed()}

    def forward(self) -> None:
        """Send what has come since the last call: whole lines, so that nothing is cut.

        Raises:
            OSError: the head is gone.
        """
        for path in self._followed():
            begin = self._offsets.get(path, 0)
            with path.open("rb") as file:
                file.seek(begin)
                data = file.read(CHUNK_BYTES)
            whole = data[: data.rfind(b"\n") + 1]
            if whole:
                self._line.send("append", {"file": str(path.relative_to(self._folder))}, whole)
                self._offsets[path] = begin + len(whole)

    def finish(self, *, files: bool) -> None:
        """Send the rest, then the files that are sent when they are complete, unless the head sees them itself.

        Raises:
            OSError: the head is gone.
        """
        while before := dict(self._offsets):
            self.forward()
            if before == self._offsets:
                break
        for pattern in SENT_AT_END if files else ():
            for path in sorted(self._folder.glob(pattern)):
                if path.is_file():
                    send_file(self._line, path, str(path.relative_to(self._folder)))

    def _followed(self) -> list[Path]:
        steps = self._folder / STEPS
        return [*event_files(self._folder), *([steps] if steps.is_file() else [])]


def send_file(line: Wire, path: Path, name: str) -> None:
    """Send a whole file in pieces; the other side writes it under `name`.

    Raises:
        OSError: the file cannot be read, or the other side is gone.
    """
    first = True
    with path.open("rb") as file:
        while (data := file.read(CHUNK_BYTES)) or first:
            line.send("file", {"file": name, "first": first}, data)
            first = False
