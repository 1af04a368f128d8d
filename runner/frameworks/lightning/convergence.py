"""Watches quality: tells every evaluation, keeps the state it was made from, ends training at the target."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from runner.core.events import Name
from runner.frameworks.lightning.throughput import Throughput
from runner.measure.context import Context


class Convergence(pl.Callback):
    """Stands before `Throughput` in the list of callbacks: what it does after an evaluation counts as evaluation."""

    def __init__(self, context: Context, throughput: Throughput) -> None:
        self._context, self._session = context, throughput.session
        self._quality = context.case.model.training.quality
        self.best: float | None = None
        self.reached = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the evaluation; end training when every target is met."""
        values = {
            name.removeprefix("quality/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("quality/")
        }
        seconds = self._session.evaluation_s()
        reached = self._quality.reached(values)
        told = {"quality": values, "seconds": seconds, "reached": reached}
        if trainer.sanity_checking:
            self._context.events.emit(Name.INIT_EVALUATION, {"step": 0, "samples": 0, **told})
            return
        main = values[self._quality.metric]
        if self._quality.better(main, self.best):
            self.best = main
        totals = self._session.totals
        progress = {"step": totals.steps, "samples": totals.samples, "training_s": self._session.training_s()}
        self._context.events.emit(Name.EVALUATE, {**progress, **told, "best": self.best})
        if reached:
            self._context.mark("target")
            self.reached = True
            trainer.should_stop = True
            # Nothing goes on from here, so it is no checkpoint: `task=infer weights=<this run's folder>` serves it.
            trainer.save_checkpoint(self._context.reached_weights, weights_only=True)
        else:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        """Keep the evaluated state; the old one stays until the new one is whole."""
        path = self._context.checkpoint
        draft = path.with_suffix(".next")
        trainer.save_checkpoint(draft)
        if trainer.is_global_zero:
            draft.replace(path)
        trainer.strategy.barrier()
        self._context.mark("checkpoint")
        totals = self._session.totals
        told = {"step": totals.taken, "samples": totals.samples, "file": f"checkpoints/{path.name}"}
        self._context.events.emit(Name.CHECKPOINT, told)

    def state_dict(self) -> dict[str, Any]:
        """The best evaluation so far, for the checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier part's best."""
        self.best = state_dict["best"]
