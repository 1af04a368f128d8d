"""Lightning's training loop, without the one thing in it that waits for the device in every step.

With several ranks Lightning broadcasts a flag before each pass and reads it back, to pass on a SIGTERM that one rank
alone received. The parent process sends its signals to all ranks, so nothing is lost. Lightning itself places a
`_TrainingEpochLoop` into its Trainer this way; pyproject bounds the versions that this private name was read in.
"""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop


class TrainingLoop(_TrainingEpochLoop):
    """The passes of training; inside a segment nothing waits for the device."""

    def __init__(self, trainer: pl.Trainer) -> None:
        super().__init__(trainer, min_steps=trainer.min_steps, max_steps=trainer.max_steps)

    def _broadcast_sigterm_tensor(self) -> None:
        """Pass nothing on."""
