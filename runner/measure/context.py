"""What one rank of a worker knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hardware.base import Device
from runner.config.schema import Case
from runner.core.events import EventWriter, Name

PARENT_VARIABLE = "TOUCHSTONE_PARENT_PID"
"""Environment variable: process id of the runner; its workers end with it."""
ROOT_VARIABLE = "TOUCHSTONE_ROOT"
"""Environment variable: the folder the runner's own packages came from; a worker's must come from there, too."""
AUTOLOAD_VARIABLE = "TORCH_DEVICE_BACKEND_AUTOLOAD"
"""Set to 0 keeps torch from importing every vendor's package it finds; `Device.connect` imports the case's own."""
Mark = Callable[[str], float]
"""Reads every energy counter now, under a name, and returns the monotonic time of the reading."""


@dataclass(kw_only=True, slots=True)
class Context:
    """One rank: its case, its device and its way to tell the outside."""

    case: Case
    folder: Path
    rank: int
    local_rank: int
    world: int
    events: EventWriter
    device: Device
    mark: Mark

    def preparing(self, what: str) -> None:
        """Tell what is done next before training begins: people wait for it."""
        self.events.emit(Name.PREPARE, {"what": what})

    @property
    def global_batch(self) -> int:
        """Training examples in one optimizer step, over all ranks."""
        return self.case.model.training.batch_size * self.case.model.training.gradient_accumulation_steps * self.world

    @property
    def checkpoint(self) -> Path:
        """Where `task=converge` keeps its last evaluated state."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def reached_weights(self) -> Path:
        """Where `task=converge` keeps the weights that reached the target."""
        return self.folder / "checkpoints" / "reached.ckpt"
