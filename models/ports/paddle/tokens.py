"""What Paddle's decoders share: the loss of the next tokens, and the perplexity they are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddle import Tensor

from models.ports.paddle.dialect import PADDLE
from models.ports.paddle.port import PaddlePort, sequence_losses, token_loss, told
from models.ports.port import Arrays
from models.ports.weights import WeightPlace, mirrored


class DecoderPaddle(PaddlePort):
    """A network from ids (batch, length) to scores of every next token (batch, length, vocabulary)."""

    def places(self) -> Mapping[str, WeightPlace]:
        """Layer by layer."""
        return mirrored(self.original.network, PADDLE)

    def loss(self, network: Any, batch: Arrays) -> Tensor:
        """Mean cross entropy of the next tokens."""
        return token_loss(told(network, training=True)(batch["input_ids"]), batch["targets"])

    def judge(self, network: Any, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Cross entropy of each sequence."""
        scores = told(network, training=False)(batch["input_ids"])
        return {"perplexity": (sequence_losses(scores, batch["targets"]),)}
