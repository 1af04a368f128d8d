"""Watches quality: tells every evaluation, keeps the state it was made from, ends training at the target."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from runner.frameworks.lightning.throughput import Throughput
from runner.frameworks.quality_watch import QualityWatch
from runner.measure.context import Context


class Convergence(pl.Callback):
    """Stands before `Throughput` in the list of callbacks: what it does after an evaluation counts as evaluation."""

    def __init__(self, context: Context, throughput: Throughput) -> None:
        self._context = context
        self._watch = QualityWatch(context, throughput.session)

    @property
    def best(self) -> float | None:
        """Best value of the metric shown first."""
        return self._watch.best

    @property
    def reached(self) -> bool:
        """Whether every target was met."""
        return self._watch.reached

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the evaluation; end training when every target is met."""
        values = {
            name.removeprefix("quality/"): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("quality/")
        }
        if trainer.sanity_checking:
            self._watch.begin_with(values)
        elif self._watch.evaluated(values):
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
        self._watch.saved()

    def state_dict(self) -> dict[str, Any]:
        """The best evaluation so far, for the checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier part's best."""
        self._watch.best = state_dict["best"]
