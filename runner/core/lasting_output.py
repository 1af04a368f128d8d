"""An output that never ends a run: where nothing can be written any more, what is said is dropped."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import IO, Any, cast


class LastingOutput(io.TextIOBase):
    """Stands before standard output, whose reader may go (`| head`), whose terminal may close, whose disk may fill."""

    def __init__(self, stream: IO[str] | None) -> None:
        """Prepare.

        Args:
            stream: where to; None, when this process was started without such an output.
        """
        super().__init__()
        self._stream = stream
        self._lost = stream is None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        """Write, or drop."""
        self._do("write", text)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop."""
        self._do("flush")

    def isatty(self) -> bool:
        """Whether there is a terminal to draw on."""
        return not self._lost and bool(self._do("isatty"))

    def fileno(self) -> int:
        """The file descriptor below.

        Raises:
            OSError: there is none.
        """
        if self._stream is None:
            raise OSError("there is no output")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream below."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def _do(self, method: str, *arguments: Any) -> Any:
        if self._lost:
            return None
        try:
            return getattr(self._stream, method)(*arguments)
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._lose()
        return None

    def _lose(self) -> None:
        """Send what is still buffered to nowhere, or Python would fail on it when it ends."""
        self._lost = True
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


def standard_output() -> IO[str]:
    """Standard output, as one that never ends a run."""
    return cast(IO[str], LastingOutput(sys.stdout))
