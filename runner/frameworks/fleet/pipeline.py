"""What stages of a pipeline send each other, over Paddle's library of the device or gloo."""

from __future__ import annotations

from typing import Any

import paddle
from paddle import Tensor

from models.ports.paddle.parallel.schedule import Neighbours

TYPES = (paddle.float32, paddle.bfloat16, paddle.float16)
"""Of hidden states; a number says which."""


class StageNeighbours(Neighbours):
    """Of one rank."""

    def __init__(self, group: Any, stage: int, hidden: int) -> None:
        """Prepare.

        Args:
            group: the pipeline's, in the order of its stages.
            stage: this rank's.
            hidden: width of the hidden states.
        """
        super().__init__(stage)
        self._hidden = hidden
        self._before = group.ranks[stage - 1] if stage > 0 else None
        self._behind = group.ranks[stage + 1] if stage + 1 < group.nranks else None
        self._entering: Any = None
        """Type of what enters; told once by the stage before."""
        self._leaving: Any = None

    def receive(self, batch: Any) -> Tensor | None:
        """Hidden states (batch, length, hidden) of what the batch holds."""
        if self._before is None:
            return None
        if self._entering is None:
            number = paddle.zeros([1], dtype="int64")
            paddle.distributed.recv(number, self._before)
            self._entering = TYPES[int(number.item())]
        entered = paddle.empty([*batch["input_ids"].shape, self._hidden], dtype=self._entering)
        paddle.distributed.recv(entered, self._before)
        entered.stop_gradient = False
        return entered

    def send(self, left: Tensor) -> None:
        """With their type before the first."""
        if self._behind is None:
            return
        if self._leaving is None:
            self._leaving = left.dtype
            paddle.distributed.send(paddle.to_tensor([TYPES.index(left.dtype)], dtype="int64"), self._behind)
        paddle.distributed.send(left.detach().contiguous(), self._behind)

    def receive_gradient(self, left: Tensor) -> Tensor | None:
        """In the form of what left."""
        if self._behind is None:
            return None
        gradient = paddle.empty(left.shape, dtype=left.dtype)
        paddle.distributed.recv(gradient, self._behind)
        return gradient

    def send_gradient(self, gradient: Tensor | None) -> None:
        """Of hidden states that entered."""
        if self._before is not None:
            assert gradient is not None, "what enters has a gradient"
            paddle.distributed.send(gradient.contiguous(), self._before)
