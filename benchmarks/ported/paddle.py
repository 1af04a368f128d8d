"""A loop in Paddle as its documentation writes it: forward, backward, `step`, `clear_grad`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paddle
from torch import Tensor

from benchmarks.ported.loop import endless, setting
from models.schedules import rate_factor

if TYPE_CHECKING:
    from benchmarks.bare import BarePlan


class PaddleLoop:
    """The port's network under Paddle's own optimizer."""

    def __init__(self, plan: BarePlan) -> None:
        paddle.set_device("cpu" if plan.device == "cpu" else "gpu")
        made = setting(plan)
        self.trainable, self.batches, self._training = made.original, endless(made.batch), plan.recipe.training
        self._port = made.port(made.original)
        self._port.network.train()
        self._optimizer = self._built()
        self._batch = {
            name: paddle.to_tensor(value.numpy()) if isinstance(value, Tensor) else value
            for name, value in made.batch.items()
        }
        self._steps = 0

    def _built(self) -> Any:
        recipe, norm = self._training.optimizer, self._training.max_grad_norm
        parameters = self._port.network.parameters()
        matrices = {one.name for one in parameters if one.ndim > 1}
        first, second = recipe.betas or (0.9, 0.999)
        return paddle.optimizer.AdamW(
            learning_rate=recipe.lr,
            beta1=first,
            beta2=second,
            epsilon=recipe.eps or 1e-8,
            parameters=parameters,
            weight_decay=recipe.weight_decay,
            apply_decay_param_fun=lambda name: name in matrices,
            grad_clip=None if norm is None else paddle.nn.ClipGradByGlobalNorm(norm),
        )

    def step(self) -> Any:
        """One step."""
        self._optimizer.set_lr(self._training.optimizer.lr * rate_factor(self._training.schedule, self._steps))
        loss = self._port.loss(self._port.network, self._batch)
        loss.backward()
        self._optimizer.step()
        self._optimizer.clear_grad()
        self._steps += 1
        return loss.detach()

    def synchronize(self) -> None:
        """Wait for the device; on the host's processor calls return when their work is done."""
        if not paddle.get_device().startswith("cpu"):
            paddle.device.synchronize()

    def meet(self) -> None:
        """There are no other ranks."""
        self.synchronize()


def build(plan: BarePlan) -> PaddleLoop:
    """The loop of a plan.

    Raises:
        SystemExit: another optimizer than AdamW.
    """
    if plan.recipe.training.optimizer.name != "adamw":
        raise SystemExit("The bare loop of Paddle trains with AdamW.")
    return PaddleLoop(plan)
