"""What one rank of a worker knows."""

from __future__ import annotations

import os
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
SHARED_VARIABLE = "TOUCHSTONE_SHARED_FOLDER"
"""The run folder that ranks of all nodes see, for checkpoints; each node's own is where its ranks write."""
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
        return self.case.model.training.samples_per_step(self.batches)

    @property
    def batches(self) -> int:
        """Batches of one pass over all ranks; ranks of one tensor- or pipeline-parallel group share theirs."""
        return self.case.topology.batches

    @property
    def batch_rank(self) -> int:
        """Which of `batches` is this rank's: ranks of one such group follow each other."""
        return self.rank // self.case.topology.parallel.shared

    @property
    def shared(self) -> Path:
        """The run folder that all ranks see, as far as there is one; this rank's own on a single machine."""
        return Path(os.environ.get(SHARED_VARIABLE) or self.folder)

    @property
    def checkpoint(self) -> Path:
        """Where `task=converge` keeps its last evaluated state."""
        return self.shared / "checkpoints" / "last.ckpt"

    @property
    def reached_weights(self) -> Path:
        """Where `task=converge` keeps the weights that reached the target."""
        return self.shared / "checkpoints" / "reached.ckpt"
