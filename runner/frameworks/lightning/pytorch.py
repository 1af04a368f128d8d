"""`framework=pytorch`: PyTorch, trained by Lightning's Trainer with the callbacks that measure."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from runner.core.errors import ConfigurationError
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
        from runner.frameworks.lightning.throughput import Throughput
        from runner.frameworks.lightning.trainer import build_trainer

        module = self._module(trainable)
        throughput = Throughput(self.context, next_segment)
        trainer = build_trainer(self.context, [throughput], max_steps=-1, limit_val_batches=0)
        trainer.fit(module, train_dataloaders=batches)

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
        from runner.frameworks.lightning.throughput import Throughput
        from runner.frameworks.lightning.trainer import build_trainer

        context, module = self.context, self._module(trainable)
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
        trainer.fit(module, batches, self._in_step(evaluation), ckpt_path=checkpoint)
        return Outcome(reached=convergence.reached, best=convergence.best, steps=throughput.totals.steps)

    def _module(self, trainable: Trainable) -> Any:
        """The model as Lightning takes it (a `TrainableModule`), whole or sharded as `topology.parallel` says.

        Raises:
            ConfigurationError: it cannot be sharded so.
        """
        from runner.frameworks.lightning.module import TrainableModule
        from runner.frameworks.lightning.sharding import check_sharding, layout_of

        case, batches = self.context.case, self.context.batches
        layout = layout_of(case.topology)
        if not layout.sharded:
            return TrainableModule(trainable, batches=batches)
        import torch

        from runner.frameworks.lightning.sharded_module import ShardedModule

        check_sharding(case, trainable)
        products = None if case.precision.autocast is None else getattr(torch, case.precision.autocast)
        return ShardedModule(trainable, batches=batches, layout=layout, products=products)

    def _in_step(self, evaluation: Iterable[Any]) -> Iterable[Any]:
        """Batches to evaluate, as many on every rank where ranks need each other in a forward pass.

        Raises:
            ConfigurationError: their number is not known before.
        """
        case = self.context.case
        if case.topology.parallel.fsdp == 1:
            return evaluation
        if case.data.on_error != "fail":
            raise ConfigurationError(
                f"data.on_error={case.data.on_error} with topology.parallel.fsdp={case.topology.parallel.fsdp}: ranks "
                "of a sharded model evaluate in step, and one that leaves a batch out would stop the others. Choose "
                "data.on_error=fail."
            )
        from runner.frameworks.lightning.even_batches import EvenBatches

        return EvenBatches(evaluation, self.context.device.torch_device(self.context.local_rank))
