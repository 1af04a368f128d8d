"""What a person sees while peaks are measured: one line per figure, and which one is next."""

from __future__ import annotations

import time
from typing import IO

from rich.status import Status
from rich.text import Text

from runner.core.events import Event, Name
from runner.peaks.plan import Plan
from runner.peaks.table import title
from runner.record.names import number
from runner.record.peaks.peak_figures import NAMES
from runner.views.page import clean, screen


class PeaksProgress:
    """Follows one measurement; on a terminal with a moving line."""

    def __init__(self, plan: Plan, *, file: IO[str] | None = None) -> None:
        """Prepare; nothing is shown yet.

        Args:
            plan: what is measured.
            file: where to; null is standard output.
        """
        self._plan = plan
        self._screen = screen(file)
        self._began_s = time.monotonic()
        self._done = 0
        self._status: Status | None = None

    def start(self, folder: str) -> None:
        """Say what is measured."""
        plan, vendor = self._plan, self._plan.case.vendor
        devices = f"{plan.devices} device{'' if plan.devices == 1 else 's'}"
        self._print(f"peaks of {vendor.title}, {devices}, {plan.seconds:g} s per figure", style="bold")
        self._print(f"  folder     {folder}")
        if self._screen.is_terminal:
            self._status = self._screen.status("starting worker")
            self._status.start()

    def on_event(self, event: Event) -> None:
        """Take in one event of any rank."""
        if event.name == Name.ENVIRONMENT:
            names = dict.fromkeys(str(device.get("name")) for device in event.value.get("devices") or [])
            self._say(f"device: {', '.join(names)}")
        elif event.name == Name.INIT_END and event.rank == 0:
            self._next()
        elif event.name == Name.METRICS:
            for name, one in event.value["metrics"].items():
                self._done += 1
                value = one["reason"] if one["value"] is None else f"{number(one['value'])} {one['unit']}"
                self._say(f"{self._done:2} of {len(NAMES)} {title(name)}: {value}")
            self._next()

    def stop(self) -> None:
        """Take the moving line away."""
        if self._status is not None:
            self._status.stop()

    def _next(self) -> None:
        if self._status is not None and self._done < len(NAMES):
            self._status.update(f"measuring {title(NAMES[self._done])}")

    def _say(self, text: str) -> None:
        self._print(f"[{time.monotonic() - self._began_s:7.1f} s] {text}")

    def _print(self, text: str, *, style: str = "") -> None:
        self._screen.print(Text(clean(text), style=style), soft_wrap=True)
