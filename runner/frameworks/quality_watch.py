"""What an evaluation means for a training run, whatever the framework: told, compared, and the end at the target."""

from __future__ import annotations

from collections.abc import Mapping

from runner.core.events import Name
from runner.measure.context import Context
from runner.measure.training_session import TrainingSession


class QualityWatch:
    """Tells every evaluation and keeps the best; it is told of evaluations that the session has begun."""

    def __init__(self, context: Context, session: TrainingSession) -> None:
        self._context, self._session = context, session
        self._quality = context.case.model.training.quality
        self.best: float | None = None
        """Best value of the metric shown first."""
        self.reached = False
        """Whether every target was met."""

    def begin_with(self, values: Mapping[str, float]) -> None:
        """Tell the evaluation before the first step."""
        self._context.events.emit(Name.INIT_EVALUATION, {"step": 0, "samples": 0, **self._told(values)})

    def evaluated(self, values: Mapping[str, float]) -> bool:
        """Tell an evaluation of training.

        Args:
            values: every metric by name.

        Returns:
            Whether every target is met: training ends here.
        """
        told = self._told(values)
        main = values[self._quality.metric]
        if self._quality.better(main, self.best):
            self.best = main
        totals = self._session.totals
        progress = {"step": totals.steps, "samples": totals.samples, "training_s": self._session.training_s()}
        self._context.events.emit(Name.EVALUATE, {**progress, **told, "best": self.best})
        self.reached = bool(told["reached"])
        if self.reached:
            self._context.mark("target")
        return self.reached

    def saved(self) -> None:
        """Tell that the evaluated state is kept."""
        self._context.mark("checkpoint")
        totals = self._session.totals
        file = f"checkpoints/{self._context.checkpoint.name}"
        self._context.events.emit(Name.CHECKPOINT, {"step": totals.taken, "samples": totals.samples, "file": file})

    def _told(self, values: Mapping[str, float]) -> dict[str, object]:
        quality = dict(values)
        return {"quality": quality, "seconds": self._session.evaluation_s(), "reached": self._quality.reached(quality)}
