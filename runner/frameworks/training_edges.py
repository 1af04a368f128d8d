"""The two edges of training, whatever the framework: marks in the power trace, peaks of the allocator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from runner.core.events import Name
from runner.measure.context import Context
from runner.measure.edges import leave_out_of_collections


def mark_begin(context: Context) -> None:
    """Mark training's beginning, with the device at rest and set-up's objects out of the collector's sight."""
    leave_out_of_collections()
    context.device.synchronize()
    context.mark("train_begin")


def mark_end(context: Context, barrier: Callable[[], None]) -> None:
    """Mark training's end, after the last work of every rank's device."""
    context.device.synchronize()
    barrier()
    context.mark("train_end")


def tell_memory_peaks(context: Context) -> None:
    """Tell the allocator's peaks since they were reset, one event per rank."""
    context.events.emit(Name.MEMORY, asdict(context.device.memory_peaks()))
