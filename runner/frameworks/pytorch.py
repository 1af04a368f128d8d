"""`framework=pytorch`: PyTorch, trained by Lightning's Trainer with the callbacks that measure."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from runner.frameworks.base import EvaluationPlan, Framework, NextSegment, Outcome

if TYPE_CHECKING:
    from models.trainable import Trainable

PACKAGES = ("torch", "pytorch_lightning")


class Pytorch(Framework):
    """Lightning's Trainer, over the vendor's accelerator and strategy."""

    @staticmethod
    def unavailable_reason() -> str | None:
        """Its packages, by their metadata alone."""
        missing = [name for name in PACKAGES if find_spec(name) is None]
        return f"the package {' and '.join(missing)} is not installed" if missing else None

    def train(self, trainable: Trainable, batches: Iterable[Any], *, next_segment: NextSegment) -> None:
        """Fit without an end: the callback that measures stops the Trainer."""
        from runner.frameworks.lightning.module import TrainableModule
        from runner.frameworks.lightning.throughput import Throughput
        from runner.frameworks.lightning.trainer import build_trainer

        throughput = Throughput(self.context, next_segment)
        trainer = build_trainer(self.context, [throughput], max_steps=-1, limit_val_batches=0)
        trainer.fit(TrainableModule(trainable), train_dataloaders=batches)

    def converge(
        self,
        trainable: Trainable,
        batches: Iterable[Any],
        evaluation: Iterable[Any],
        *,
        plan: EvaluationPlan,
        next_segment: NextSegment,
    ) -> Outcome:
        """Fit to the end of the plan, or to the callback that sees the targets reached."""
        from runner.frameworks.lightning.convergence import Convergence
        from runner.frameworks.lightning.module import TrainableModule
        from runner.frameworks.lightning.throughput import Throughput
        from runner.frameworks.lightning.trainer import build_trainer

        context = self.context
        throughput = Throughput(context, next_segment)
        convergence = Convergence(context, throughput)
        trainer = build_trainer(
            context,
            [convergence, throughput],
            max_steps=plan.max_steps,
            val_check_interval=plan.every_steps * context.case.model.training.gradient_accumulation_steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0 if plan.done_steps else -1,
        )
        checkpoint = context.checkpoint if plan.done_steps else None
        trainer.fit(TrainableModule(trainable), batches, evaluation, ckpt_path=checkpoint)
        return Outcome(reached=convergence.reached, best=convergence.best, steps=throughput.totals.steps)
