"""Perplexity of held-out text."""

from __future__ import annotations

from torch import Tensor

from models.metrics import Mean


class Perplexity(Mean):
    """Exponential of the mean cross entropy per token, over all ranks' sequences, which are of one length."""

    def compute(self) -> Tensor:
        """The perplexity of what was seen since `reset`."""
        return super().compute().exp()
