"""One call of megatron-core's pipeline schedule: all microbatches of a step, or one batch of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.pipeline_parallel import get_forward_backward_func
from torch import Tensor, distributed

from models.ports.megatron.port import MegatronPort, judged, mean_loss
from models.ports.port import Arrays


class Pipeline:
    """Runs the stages of one copy of the model, each rank its own."""

    def __init__(self, port: MegatronPort, model: Any, device: torch.device) -> None:
        self._port, self._model, self._device = port, model, device
        self._schedule = get_forward_backward_func()

    def trained(self, batches: Sequence[Arrays]) -> Tensor:
        """Forward and backward of every microbatch; gradients are averaged over them and over the copies.

        Returns:
            The mean loss of this copy's microbatches, a float32 scalar, the same on every stage.
        """

        def told(losses: Tensor, batch: Arrays) -> tuple[Tensor, Tensor]:
            loss = mean_loss(losses, batch)
            return loss, loss.detach().clone()  # the schedule divides the first in place

        found = self._run(batches, told, forward_only=False)
        mean = torch.stack(found).mean() if found else torch.zeros((), device=self._device)
        return self._from_last(mean)

    @torch.no_grad()
    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """What the metrics are updated with, the same on every rank of this copy."""

        def told(losses: Tensor, batch: Arrays) -> tuple[Tensor, dict[str, tuple[Any, ...]]]:
            return losses.sum(), judged(losses)

        found = self._run([batch], told, forward_only=True)
        (values,) = found or [judged(torch.zeros_like(batch["targets"], dtype=torch.float32))]
        return {name: tuple(self._from_last(one) for one in arrays) for name, arrays in values.items()}

    def _run(
        self, batches: Sequence[Arrays], told: Callable[[Tensor, Arrays], tuple[Tensor, Any]], *, forward_only: bool
    ) -> list[Any]:
        """What `told` says of each microbatch, on the last stage; nothing on the others."""

        def forward(iterator: Any, model: Any) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Any]]]:
            batch = next(iterator)
            return self._port.forward(model, batch), lambda losses: told(losses, batch)

        size, length = batches[0]["input_ids"].shape
        found: list[Any] = self._schedule(
            forward_step_func=forward,
            data_iterator=iter(batches),
            model=self._model,
            num_microbatches=len(batches),
            seq_length=length,
            micro_batch_size=size,
            forward_only=forward_only,
        )
        return found

    def _from_last(self, value: Tensor) -> Tensor:
        """The last stage's value, on every stage."""
        if parallel_state.get_pipeline_model_parallel_world_size() > 1:
            last = parallel_state.get_pipeline_model_parallel_last_rank()
            distributed.broadcast(value, src=last, group=parallel_state.get_pipeline_model_parallel_group())
        return value
