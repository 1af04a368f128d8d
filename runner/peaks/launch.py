"""Runs the worker or workers of a plan to their end, whatever that is; gathers what they told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardware.sampling.client import start_sampler
from runner.core.errors import TouchstoneError
from runner.core.events import Event, Name
from runner.core.interrupts import Interrupts
from runner.core.lock import let_go, take
from runner.launch.attempt import attempt
from runner.measure.context import AUTOLOAD_VARIABLE, PARENT_VARIABLE
from runner.peaks.plan import Plan

TRACE = "power.csv"


@dataclass(kw_only=True, slots=True)
class Launched:
    """What a measurement left behind."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name to `figures.Peak` as a dictionary; only those that were reached."""
    environment: dict[str, Any] = field(default_factory=dict)
    """As `runner.worker.environment` gives it; empty when no device was connected."""
    failure: TouchstoneError | None = None

    def take(self, event: Event) -> None:
        """Take in one event of the ranks."""
        if event.name == Name.METRICS:
            self.figures |= event.value["metrics"]
        elif event.name == Name.ENVIRONMENT:
            self.environment = event.value


def launch(plan: Plan, folder: Path, on_event: Callable[[Event], None]) -> Launched:
    """Measure in fresh processes, with the meters read beside them.

    Args:
        plan: saved in `folder`.
        folder: gets events, power trace and `worker.log`.
        on_event: hears every event.
    """
    told = Launched()

    def listen(event: Event) -> None:
        told.take(event)
        on_event(event)

    take(folder)  # the workers end when it is given back, or when this process ends
    sampler = start_sampler(folder / TRACE, plan.case.vendor.meters, period_s=plan.case.measure.sampling_period_s)
    environment = {PARENT_VARIABLE: str(os.getpid()), AUTOLOAD_VARIABLE: "0"} | sampler.environment
    try:
        with Interrupts() as interrupts, interrupts.allowed():
            told.failure = attempt(
                plan.case,
                folder,
                environment,
                forked=False,
                on_event=listen,
                on_tick=lambda: None,
                module="runner.peaks.worker",
            )
    finally:
        sampler.stop()
        let_go(folder)
    return told
