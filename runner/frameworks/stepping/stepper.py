"""What a framework without a training loop of its own must do, so that `SteppingLoop` trains with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from models.datasets.base import Batch, Counts
from runner.measure.ranks import Ranks
from runner.measure.session import Session


class Stepper(ABC):
    """Takes the passes and steps of one rank; every rank calls the same methods in the same order.

    Nothing that is called inside a segment (`next_batch`, `count`, `learning_rate`, `take_pass`, `skipped`) waits for
    the device, unless the framework itself does.
    """

    ranks: Ranks
    """How the ranks meet."""
    passes_per_step: int | None = None
    """Calls of `take_pass` in one optimizer step; None: as many as the recipe accumulates gradients over. A pipeline
    takes all of them in one call."""

    @abstractmethod
    def verify_precision(self) -> None:
        """Probe what really runs, tell it, and refuse what is not as asked; before anything expensive.

        Raises:
            PrecisionUnsupportedError: what runs is not what was asked for.
        """

    def tell_forward(self, session: Session) -> None:  # noqa: B027 -- frameworks may not know
        """From now on tell the session where forward passes begin and end; called of several ranks alone."""

    @abstractmethod
    def begin_training(self) -> None:
        """Be ready for the first pass, with nothing carried over from an evaluation."""

    @abstractmethod
    def placed(self, batch: Batch) -> Batch:
        """The batch on the device."""

    def next_batch(self, batches: Iterator[Batch]) -> Any:
        """What the next pass takes, on the device: one batch, or all that the framework takes in one call."""
        return self.placed(next(batches))

    @abstractmethod
    def count(self, batch: Any) -> Counts:
        """Samples and tokens in what `next_batch` gave, from its shapes alone."""

    @abstractmethod
    def learning_rate(self) -> float:
        """The rate that the next optimizer step is taken with."""

    @abstractmethod
    def take_pass(self, batch: Any) -> Any:
        """Forward and backward, and after the last pass of a step the optimizer step and its schedule.

        Args:
            batch: what `next_batch` gave.

        Returns:
            The pass's share of the step's loss, a scalar of the framework on the device.
        """

    @property
    @abstractmethod
    def skipped(self) -> Any:
        """Whether the last optimizer step left the weights alone on every rank; None where that cannot be."""

    @abstractmethod
    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Every metric by name, over all ranks' batches."""

    @abstractmethod
    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Keep everything that training goes on from, and `state`; an older one stays until the new one is whole."""

    @abstractmethod
    def load(self, path: Path) -> dict[str, Any]:
        """Go on from what `save` kept.

        Returns:
            The `state` that was kept with it.
        """

    @abstractmethod
    def save_weights(self, path: Path) -> None:
        """Keep the weights alone, whole, in the form that `model.weights` reads."""
