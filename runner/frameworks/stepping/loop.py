"""The training loop: passes, segments, evaluations, checkpoints. The measuring core is told what Lightning tells it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from models.datasets.base import Batch
from runner.frameworks.base import EvaluationPlan, NextSegment, Outcome
from runner.frameworks.quality_watch import QualityWatch
from runner.frameworks.stepping.stepper import Stepper
from runner.frameworks.training_edges import mark_begin, mark_end, tell_memory_peaks
from runner.measure.context import Context
from runner.measure.training_session import TrainingSession


class SteppingLoop:
    """Trains with a `Stepper`, measured; every rank has one."""

    def __init__(
        self,
        context: Context,
        stepper: Stepper,
        next_segment: NextSegment,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context, self._stepper = context, stepper
        self._passes = stepper.passes_per_step or context.case.model.training.gradient_accumulation_steps
        self.session = TrainingSession(context, stepper.ranks, next_segment, passes_per_step=self._passes, clock=clock)
        self._watch = QualityWatch(context, self.session)
        if context.world > 1:
            stepper.tell_forward(self.session)

    def train(self, batches: Iterable[Batch]) -> None:
        """Train until the window is complete; evaluate nothing."""
        self._stepper.verify_precision()
        self._begin()
        self._take_steps(iter(batches))
        self._end()

    def converge(self, batches: Iterable[Batch], evaluation: Iterable[Batch], plan: EvaluationPlan) -> Outcome:
        """Train to the target, or to the end of the plan."""
        self._stepper.verify_precision()
        if plan.done_steps:
            self._resume()
        else:
            self.session.begin_evaluation()
            self._watch.begin_with(self._stepper.evaluate(evaluation))
            self.session.end_evaluation()
        self._begin()
        endless = iter(batches)
        for done in range(plan.done_steps + plan.every_steps, plan.max_steps + 1, plan.every_steps):
            self._take_steps(endless, plan.every_steps)
            self._evaluate(evaluation)
            if self._watch.reached:
                break
            if done < plan.max_steps:
                self.session.open()
        self._end()
        return Outcome(reached=self._watch.reached, best=self._watch.best, steps=self.session.totals.steps)

    # --- steps ------------------------------------------------------------------------------------------------

    def _take_steps(self, batches: Iterator[Batch], steps: int | None = None) -> None:
        """So many optimizer steps, or until the window is complete; segments are closed and opened on the way."""
        taken = 0
        while taken != steps and not self.session.complete:
            last = self._take_step(batches)
            taken += 1
            if last:
                self.session.close()
                self.session.open()

    def _take_step(self, batches: Iterator[Batch]) -> bool:
        """One optimizer step; returns whether it was its segment's last."""
        stepper, session = self._stepper, self.session
        rate = 0.0
        for number in range(self._passes):
            batch = stepper.next_batch(batches)
            entered_s = time.perf_counter()
            if number == 0:
                rate = stepper.learning_rate()  # at the step's end it is the next one's
            session.begin_pass(stepper.count(batch), entered_s)
            loss = stepper.take_pass(batch)
            session.end_pass(loss, time.perf_counter())
        return session.end_step(rate, stepper.skipped)

    # --- edges ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begin the clock of training, with the peaks of building and of the first evaluation forgotten."""
        mark_begin(self._context)
        self._context.device.reset_memory_peaks()
        self._stepper.begin_training()
        self.session.begin()

    def _end(self) -> None:
        """Close what is open and emit peaks and totals."""
        mark_end(self._context, self._stepper.ranks.barrier)
        tell_memory_peaks(self._context)
        self.session.end()

    def _evaluate(self, evaluation: Iterable[Batch]) -> None:
        """Evaluate, and keep what was evaluated: the weights at the target, else all that training goes on from."""
        self.session.begin_evaluation()
        values = self._stepper.evaluate(evaluation)
        if self._watch.evaluated(values):
            self._stepper.save_weights(self._context.reached_weights)
        else:
            self._stepper.save(self._context.checkpoint, self._state())
            self._watch.saved()
        self.session.end_evaluation()

    # --- resuming ---------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {"session": self.session.state(), "best": self._watch.best}

    def _resume(self) -> None:
        state = self._stepper.load(self._context.checkpoint)
        self.session.restore(state["session"])
        self._watch.best = state["best"]
