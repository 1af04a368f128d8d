"""The session of a training run: its clock goes on through evaluations, and through the parts of a resumed run."""

from __future__ import annotations

from typing import Any

from runner.core.events import Name
from runner.measure.session import Session
from runner.measure.totals import Totals


class TrainingSession(Session):
    """Segments, cut by evaluations, between the beginning and the end of training."""

    _began_s: float | None = None
    """When this part's training began."""
    _base_s = 0.0
    """Seconds of training in earlier parts."""
    _evaluation_began_s: float | None = None

    def begin(self) -> None:
        """Begin the clock of training and open the first block of warm-up."""
        self._base_s, self._began_s = self.totals.training_s, self._edges.open()
        self._events.emit(Name.TRAIN_START, {"step": self.totals.taken, "samples": self.totals.samples})
        self.open()

    def training_s(self) -> float:
        """Seconds of training so far, over all parts of the run."""
        assert self._began_s is not None, "training has begun"
        return self._base_s + self._clock() - self._began_s

    def begin_evaluation(self) -> None:
        """Stop the clock of the segment; the clock of training goes on."""
        self.close()
        self._device.synchronize()
        self._evaluation_began_s = self._clock()

    def evaluation_s(self) -> float:
        """Seconds since the running evaluation began, the device's work included."""
        assert self._evaluation_began_s is not None, "an evaluation is running"
        self._device.synchronize()
        return self._clock() - self._evaluation_began_s

    def end_evaluation(self) -> None:
        """Account for the evaluation; one before training is in no figure."""
        if self._began_s is not None:
            self.totals.evaluate_s += self.evaluation_s()
        self._evaluation_began_s = None

    def end(self) -> None:
        """Close what is open and emit the totals."""
        self.close()
        self._device.synchronize()
        self.totals.training_s = self.training_s()
        self._events.emit(Name.TRAIN_END, self.totals.as_dict())

    def state(self) -> dict[str, Any]:
        """The totals at this moment, for a checkpoint; one is written while its evaluation still runs."""
        running_s = 0.0 if self._evaluation_began_s is None else self.evaluation_s()
        evaluate_s = self.totals.evaluate_s + running_s
        return {**self.totals.as_dict(), "training_s": self.training_s(), "evaluate_s": evaluate_s}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from an earlier part's `state`."""
        self.go_on_from(Totals(**state))
