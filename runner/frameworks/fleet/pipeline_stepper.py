"""Steps of a rank in a pipeline: all passes of an optimizer step in one call, one loss for all stages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import paddle
from paddle import Tensor

from models.datasets.base import Batch, Counts
from models.ports.paddle.parallel.decoder import SpreadDecoder
from models.ports.paddle.parallel.schedule import run_passes
from models.ports.port import Arrays
from models.trainable import Trainable
from runner.frameworks.fleet.parallel import ParallelStepper
from runner.frameworks.fleet.pipeline import StageNeighbours
from runner.measure.context import Context


class PipelineStepper(ParallelStepper):
    """A stage of the network, with a share of its matrices where there are tensor groups, too."""

    decoder: SpreadDecoder
    passes_per_step = 1

    def __init__(self, context: Context, trainable: Trainable) -> None:
        super().__init__(context, trainable)
        sizes: Any = trainable.sizes
        self._neighbours = StageNeighbours(self.fleet.pipe, self.fleet.stage, int(sizes.hidden))

    def next_batch(self, batches: Iterator[Batch]) -> list[Arrays]:
        """As many batches as the step has passes."""
        return [self.placed(next(batches)) for _ in range(self.passes)]

    def count(self, batch: Any) -> Counts:
        """Over the step's batches."""
        counts = [self.original.count(one) for one in batch]
        tokens = [one.tokens for one in counts if one.tokens is not None]
        return Counts(sum(one.samples for one in counts), sum(tokens) if len(tokens) == len(counts) else None)

    def take_pass(self, batch: Any) -> Tensor:
        """A whole optimizer step."""
        self._losses: list[Tensor] = []
        run_passes(
            self._neighbours,
            batch,
            ahead=self.fleet.stages - 1 - self.fleet.stage,
            forward=self._forward,
            backward=self._backward,
        )
        loss = paddle.add_n(self._losses) if self._losses else paddle.zeros([])
        self.finish_step()
        paddle.distributed.broadcast(loss, self.fleet.pipe.ranks[-1], group=self.fleet.pipe)
        self.device.submitted(loss)
        return loss

    def _forward(self, entered: Tensor | None, batch: Arrays) -> Tensor:
        with self.amp.cast():
            left = self.decoder.forward(entered, batch, training=True)
            if not self.decoder.is_last:
                return left
            share = self.decoder.loss_of(left, batch) / self.passes
        self._losses.append(share.detach())
        return self.amp.scaled(share / self._divisor)

    def _backward(self, entered: Tensor | None, left: Tensor, gradient: Tensor | None) -> Tensor | None:
        paddle.autograd.backward([left], None if gradient is None else [gradient])
        return None if entered is None else entered.grad

    def _judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Stage by stage; the last one judges."""
        left = self.decoder.forward(self._neighbours.receive(batch), batch, training=False)
        if self.decoder.is_last:
            return self.decoder.judge_of(left, batch)
        self._neighbours.send(left)
        return {}
