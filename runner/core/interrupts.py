"""Ctrl-C, SIGTERM and SIGHUP: the first one ends the run in good order, those that come while it ends are ignored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def like_ctrl_c() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does, where they would end the process silently."""
    numbers = SIGNALS[1:] if threading.current_thread() is threading.main_thread() else ()
    taken = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


class Interrupts:
    """Catches the signals for as long as it is entered; only inside `allowed` do they interrupt what goes on.

    A signal that comes outside, while a result is written or filed, interrupts the next `allowed` at its beginning.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether anybody has asked the run to end."""
        self._allowed = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Catch the signals, but for those that whoever started this process has switched off (`nohup`, `&`)."""
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):
                self._before[number] = before
                signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put back what was there."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let the first signal raise KeyboardInterrupt here.

        Raises:
            KeyboardInterrupt: a signal came, or had come before.
        """
        self._allowed = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._allowed = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if first and self._allowed:
            self._allowed = False
            raise KeyboardInterrupt
