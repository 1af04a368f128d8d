"""A framework that brings no training loop: what trains its models is `SteppingLoop`, with its `Stepper`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from runner.frameworks.base import EvaluationPlan, Framework, NextSegment, Outcome

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.loop import SteppingLoop
    from runner.frameworks.stepping.stepper import Stepper


class SteppingFramework(Framework):
    """Trains in the stepping loop."""

    def train(self, trainable: Trainable, batches: Iterable[Any], *, next_segment: NextSegment) -> None:
        """Train until the window is complete."""
        self._loop(trainable, next_segment, evaluates=False).train(batches)

    def converge(
        self,
        trainable: Trainable,
        batches: Iterable[Any],
        evaluation: Iterable[Any],
        *,
        plan: EvaluationPlan,
        next_segment: NextSegment,
    ) -> Outcome:
        """Train to the target, or to the end of the plan."""
        return self._loop(trainable, next_segment, evaluates=True).converge(batches, evaluation, plan)

    def _loop(self, trainable: Trainable, next_segment: NextSegment, *, evaluates: bool) -> SteppingLoop:
        from runner.frameworks.stepping.loop import SteppingLoop

        self.prepare(trainable, evaluates=evaluates)
        return SteppingLoop(self.context, self.stepper(trainable), next_segment)

    @abstractmethod
    def prepare(self, trainable: Trainable, *, evaluates: bool) -> None:
        """Refuse what only the model itself tells, and say what is begun; `stepper` is called after it.

        Args:
            trainable: the PyTorch model, on the host, with the case's initial weights.
            evaluates: whether it is evaluated, too.

        Raises:
            ConfigurationError: the framework cannot train, or evaluate, this model in this case.
        """

    @abstractmethod
    def stepper(self, trainable: Trainable) -> Stepper:
        """What takes its steps; imports the framework.

        Args:
            trainable: the PyTorch model, on the host, with the case's initial weights.
        """
