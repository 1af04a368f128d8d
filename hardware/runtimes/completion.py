"""When submitted work was done, for runtimes without timing events: a thread waits for results and takes the time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from hardware.stacks.host import HostEvent


class CompletedEvent(HostEvent):
    """A mark that is set when a result is there, not when it was submitted; one that is not yet set has `at_s` None."""

    __slots__ = ("_watch",)

    def __init__(self, watch: CompletionWatch) -> None:
        super().__init__()
        self._watch = watch

    def record(self) -> None:
        """Set the mark once everything submitted so far is done; returns at once."""
        self._watch.add(self)


class CompletionWatch:
    """Waits for results in the order in which they were submitted, beside the thread that submits.

    A mark's time is that of the waiting thread's return: later than the device by the time in which the system wakes
    the thread, some tens of microseconds, and never before the marks that precede it.
    """

    def __init__(self, wait: Callable[[Any], None]) -> None:
        """Start waiting.

        Args:
            wait: returns when a result of the runtime is there; must not hold up the submitting thread.
        """
        self._wait = wait
        self._latest: Any = None
        self._queue: SimpleQueue[tuple[CompletedEvent | threading.Event, Any]] = SimpleQueue()
        self._error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True, name="completion-watch").start()

    def submitted(self, result: Any) -> None:
        """Name the latest result; marks from now on wait for it."""
        self._latest = result

    def add(self, mark: CompletedEvent) -> None:
        """Have a mark set when the latest result is there."""
        self._queue.put((mark, self._latest))

    def drain(self) -> None:
        """Wait until every mark is set.

        Raises:
            RuntimeError: a result could not be waited for; the runtime's own error is the cause.
        """
        reached = threading.Event()
        self._queue.put((reached, self._latest))
        reached.wait()
        if self._error is not None:
            error, self._error = self._error, None
            raise RuntimeError(f"the device's work failed: {error}") from error

    def _run(self) -> None:
        while True:
            mark, result = self._queue.get()
            try:
                if result is not None:
                    self._wait(result)
            except BaseException as error:  # noqa: BLE001 -- whatever the runtime raises is told at the next edge
                self._error = self._error or error
            if isinstance(mark, threading.Event):
                mark.set()
            else:
                HostEvent.record(mark)
            del result
