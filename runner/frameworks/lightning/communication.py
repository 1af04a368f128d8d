"""Marks where a rank's own work of a pass ends and the ranks meet: of data parallel training, where they meet once."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.autograd import Variable

from runner.measure.session import Session


class MeetingMarks:
    """Tells the session of each pass when a rank has done what it can do alone, and when the ranks have met.

    The reducer of data parallel training sends gradients while the backward pass goes on, and waits for them in a
    callback of autograd at its end. A callback that was queued when the backward pass began runs before that one.
    Before the forward pass it sends the first rank's buffers, where the model has any.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._data_parallel = False
        self._buffers = False

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Learn how the ranks meet."""
        self._data_parallel = trainer.world_size > 1 and isinstance(trainer.strategy, DDPStrategy)
        self._buffers = self._data_parallel and next(module.buffers(), None) is not None

    def begin_forward(self) -> None:
        """The forward pass begins; data parallel has sent its buffers."""
        self._session.begin_forward(exchanged=self._buffers)

    def end_forward(self) -> None:
        """The forward pass is submitted."""
        self._session.end_forward()

    def before_backward(self, loss: Tensor) -> None:
        """Mark the end of the backward pass that begins, before the ranks wait for each other."""
        if self._data_parallel:
            loss.register_hook(self._queue)  # type: ignore[no-untyped-call]

    def _queue(self, gradient: Any) -> None:
        Variable._execution_engine.queue_callback(self._session.end_alone)

    def after_backward(self) -> None:
        """Mark that the reducer has waited for all it sent."""
        if self._data_parallel:
            self._session.meet()
