"""One meter inside the sampler: when it is read, what becomes of its readings, and what happens when it fails."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from hardware.base import DeviceIdentity
from hardware.meters.base import Meter, MeterUnavailableError
from hardware.sampling.trace_file import BACK, LOST, TraceRow, TraceWriter, row_of

RETRY_S = 5.0
"""Least time between two attempts to use a meter that failed."""
BUDGET = 0.01
"""Share of a core that reading all meters may take; a dearer meter is read more seldom, down to LEAST_READINGS."""
LEAST_READINGS = 20
"""So often a meter is read in a window, whatever that costs: with fewer readings a mean power is a guess."""
WINDOW_S = 30.0
"""Length of the window where nobody says: that of `measure=standard`."""
MARK_WAIT_S = 1.0
"""How long a mark waits for a reading of the same meter that is under way."""

FAILURES = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What a meter raises: by contract `MeterUnavailableError`, a RuntimeError; one from elsewhere may have bugs."""

log = logging.getLogger(__name__)


class Station:
    """Owns one meter. `step` is called by its own thread, `mark` and `open` by others."""

    def __init__(
        self,
        name: str,
        meter: Meter | None,
        writer: TraceWriter,
        *,
        period_s: float,
        window_s: float = WINDOW_S,
        budget: float = BUDGET,
        reason: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """A station whose meter is closed.

        Args:
            name: the meter's.
            meter: None with a `reason` when there is no such meter.
            writer: of the trace.
            period_s: sampling period that is asked for.
            window_s: length of the shortest window that will be measured.
            budget: share of a core that reading may take.
            reason: why there is no meter.
            clock: monotonic seconds.
            wall: seconds since the epoch.
            cpu: processor seconds of this thread.
        """
        self._name = name
        self.meter = meter
        self.reason = reason
        self.is_open = False
        self.has_counter = False
        self.wake = threading.Event()
        """Set when the meter was opened, or reading is to end: the next step is not when it was."""
        self._asked_period_s = period_s
        self._longest_s = window_s / LEAST_READINGS
        self._marked: str | None = None
        """Name of the mark that its own thread shall read at once."""
        self._budget = budget
        self._writer = writer
        self._clock, self._wall, self._cpu = clock, wall, cpu
        self._lock = threading.RLock()
        self._devices: Sequence[DeviceIdentity] = ()
        self._retry_at_s: float | None = None
        self._lost = False
        self._reads = 0
        self._cost_s = self._cost_cpu_s = 0.0

    @property
    def name(self) -> str:
        """The meter's; of several in each other's place, the one in use."""
        return self._name if self.meter is None or "|" not in self._name else self.meter.name

    @property
    def period_s(self) -> float:
        """Period in use: the one asked for or the meter's own, longer where readings cost more than the budget.

        Both stay below a twentieth of the window, as far as the meter can be asked so often.
        """
        per_read_s = self._cost_cpu_s / self._reads if self._reads else 0.0
        own_s = self.meter.period_s if self.meter else 0.0
        least_s = self.meter.least_period_s if self.meter else 0.0
        cheap_s = max(own_s, per_read_s / self._budget)
        return max(self._asked_period_s, least_s, min(cheap_s, self._longest_s))

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        """Open the meter for these devices, closing it first, and read it once; or note the reason."""
        if self.meter is None:
            return
        with self._lock:
            self._devices = devices
            self._retry_at_s = None
            if self._try_open():
                self._read(None)
        self.wake.set()

    def step(self, due_s: float) -> float:
        """Read if the meter is open or due for another attempt.

        Args:
            due_s: when this step was due, on the monotonic clock.

        Returns:
            When the next one is: on the grid of the period, leaving out what was missed.
        """
        with self._lock:
            if self.is_open:
                self._read(None)
            elif self._retry_at_s is not None and self._clock() >= self._retry_at_s:
                self._retry_at_s = self._clock() + RETRY_S
                if self._try_open():
                    self._read(None)
            now_s = self._clock()
            if self.is_open:
                return due_s + max(1, math.ceil((now_s - due_s) / self.period_s)) * self.period_s
            return now_s + RETRY_S if self._retry_at_s is None else self._retry_at_s

    def mark(self, name: str) -> None:
        """Read now. A counter is read before this returns; another meter, which may be slow, by its own thread.

        What is measured goes on while a tool is running: its figures are to be those of work, not of waiting for it.
        """
        if not self.has_counter or not self._lock.acquire(timeout=MARK_WAIT_S):
            self._marked = name
            self.wake.set()
            return
        try:
            if self.is_open:
                self._read(name)
        finally:
            self._lock.release()

    def woken(self) -> float:
        """Read for a mark that did not wait, if there was one; returns when the next step is due."""
        due_s = self._clock() + self.period_s
        name, self._marked = self._marked, None
        if name is not None:
            with self._lock:
                if self.is_open:
                    due_s = self._clock() + self.period_s
                    self._read(name)
        return due_s

    def close(self) -> None:
        """Let go of the sensors."""
        if self.meter is not None:
            with self._lock:
                self.meter.close()
                self.is_open = False

    def told(self) -> dict[str, Any]:
        """What `<trace>.meters.json` says of this meter."""
        return {
            "opened": self.is_open,
            "reason": self.reason,
            "period_s": self.period_s,
            "reads": self._reads,
            "read_cost_s": self._cost_s / self._reads if self._reads else None,
            "read_cpu_s": self._cost_cpu_s / self._reads if self._reads else None,
            "budget": self._budget,
        }

    def _try_open(self) -> bool:
        assert self.meter is not None
        self.meter.close()
        try:
            self.meter.open(self._devices)
        except FAILURES as error:
            self.is_open, self.reason = False, describe(error)
        else:
            self.is_open, self.reason = True, None
        return self.is_open

    def _read(self, mark: str | None) -> None:
        """Read and write down; a failure is noted once, until a reading succeeds again."""
        assert self.meter is not None
        monotonic_s, unix_s = self._clock(), self._wall()
        cpu_s = self._cpu() + self.meter.processes_cpu_s()
        try:
            readings = self.meter.read()
        except FAILURES as error:
            self._lose(error)
            return
        if self._lost:
            self._lost = False
            self._note(BACK, None)
        rows = [row_of(one, monotonic_s=monotonic_s, unix_s=unix_s, meter=self.name, mark=mark) for one in readings]
        self._writer.write(*rows)
        self.has_counter = self.has_counter or any(one.energy_j is not None for one in readings)
        self._reads += 1
        self._cost_s += self._clock() - monotonic_s
        self._cost_cpu_s += self._cpu() + self.meter.processes_cpu_s() - cpu_s

    def _lose(self, error: BaseException) -> None:
        self.is_open, self.reason = False, describe(error)
        self._retry_at_s = self._clock() + RETRY_S
        if not self._lost:
            self._lost = True
            log.warning("meter %s: %s", self.name, self.reason)
            self._note(LOST, self.reason)

    def _note(self, what: str, raw: str | None) -> None:
        moment = TraceRow(
            monotonic_s=self._clock(), unix_s=self._wall(), mark=f"{what}{self.name}", meter=self.name, raw=raw
        )
        self._writer.write(moment)


def describe(error: BaseException) -> str:
    """What an error says; with its class where that is not a meter's own sentence."""
    return str(error) if isinstance(error, MeterUnavailableError) else f"{type(error).__name__}: {error}"
