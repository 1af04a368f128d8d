"""What a framework without a training loop of its own must do, so that `SteppingLoop` trains with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from models.datasets.base import Batch, Counts
from runner.measure.ranks import Ranks
from runner.measure.session import Session


class Stepper(ABC):
    """Takes the passes and steps of one rank; every rank calls the same methods in the same order.

    Nothing that is called inside a segment (`placed`, `count`, `learning_rate`, `take_pass`, `skipped`) waits for the
    device, unless the framework itself does.
    """

    ranks: Ranks
    """How the ranks meet."""

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

    @abstractmethod
    def count(self, batch: Batch) -> Counts:
        """Samples and tokens in a batch, from its shapes alone."""

    @abstractmethod
    def learning_rate(self) -> float:
        """The rate that the next optimizer step is taken with."""

    @abstractmethod
    def take_pass(self, batch: Batch) -> Tensor:
        """Forward and backward, and after the last pass of a step the optimizer step and its schedule.

        Returns:
            The pass's share of the step's loss, on the device.
        """

    @property
    @abstractmethod
    def skipped(self) -> Tensor | bool | None:
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
