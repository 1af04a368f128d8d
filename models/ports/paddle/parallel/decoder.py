"""A decoder's port as one rank of several has it: its share of the matrices, its stage of the layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from paddle import Tensor

from models.ports.paddle.parallel.losses import SplitLosses
from models.ports.paddle.parallel.pieces import pieces_of
from models.ports.paddle.parallel.slices import Slice
from models.ports.paddle.parallel.stages import keep, stage_of
from models.ports.paddle.parallel.tensor import split
from models.ports.paddle.port import PaddlePort, sequence_losses, token_loss, told
from models.ports.port import Arrays, PortError


@dataclass(frozen=True, slots=True, kw_only=True)
class RankShare:
    """A rank's place in the tensor group and in the pipeline."""

    tensor_rank: int = 0
    tensor: int = 1
    """Ranks of the tensor group."""
    group: Any = None
    """Fleet's tensor group; None of one rank."""
    stage: int = 0
    stages: int = 1


class SpreadDecoder:
    """What a rank computes of a decoder; changes the port's network in place."""

    def __init__(self, port: PaddlePort, share: RankShare) -> None:
        """Take the share out of the whole network.

        Raises:
            PortError: the model cannot be spread like this; says which numbers can.
        """
        pieces = pieces_of(port.network)
        if pieces is None:
            raise PortError(
                f"topology.parallel.tensor={share.tensor} topology.parallel.pipeline={share.stages}: "
                f"{type(port).__name__} has neither a tensor split nor stages; it is spread by data and fsdp alone"
            )
        self.port, self.share, self.pieces = port, share, pieces
        self.whole_shapes = {name: list(one.shape) for name, one in port.network.named_parameters()}
        """Of the whole network's parameters, by name."""
        _require_stages(len(pieces.listed()), share.stages)
        self.slices = self._split()
        self.stages = {name: stage_of(name, pieces, share.stages) for name in self.whole_shapes}
        """Which stage has each of them; of a tied one, the first."""
        self.blocks = keep(pieces, share.stage, share.stages)
        self._tokens, self._sequences = token_loss, sequence_losses
        if share.tensor > 1 and self.is_last:
            losses = SplitLosses(share.group)
            self._tokens, self._sequences = losses.of_tokens, losses.of_sequences

    @property
    def is_first(self) -> bool:
        """Whether ids enter here."""
        return self.share.stage == 0

    @property
    def is_last(self) -> bool:
        """Whether losses are computed here."""
        return self.share.stage == self.share.stages - 1

    @property
    def tied(self) -> str | None:
        """The parameter that the first and the last stage both have."""
        return f"{self.pieces.tied}.weight" if self.pieces.tied and self.share.stages > 1 else None

    def _split(self) -> dict[str, Slice]:
        share = self.share
        if share.tensor == 1:
            return {}
        plan = self.port.original.tensor_plan()
        if plan is None:
            raise PortError(f"topology.parallel.tensor={share.tensor}: the model says no way to split its matrices")
        for what, size in plan.divides.items():
            if size % share.tensor:
                raise PortError(
                    f"topology.parallel.tensor={share.tensor} does not divide the {size} {what}; "
                    f"these do: {', '.join(map(str, plan.fitting)) or 'none'}"
                )
        return split(self.pieces, plan, share.group)

    def slice_of(self, name: str) -> Slice:
        """How the tensor group shares a parameter."""
        return self.slices.get(name, Slice())

    # --- passes -----------------------------------------------------------------------------------------------

    def forward(self, entered: Tensor | None, batch: Arrays, *, training: bool) -> Tensor:
        """This stage's part of a pass.

        Args:
            entered: hidden states (batch, length, hidden) of the stage before; None at the first.
            batch: on the device; every stage has the same.
            training: whether anything is dropped.

        Returns:
            Hidden states; of the last stage, scores of its share of the vocabulary.
        """
        told(self.port.network, training=training)
        values = self.pieces.begin(batch["input_ids"]) if entered is None else entered
        for number in self.blocks:
            values = self.pieces.through(number, values)
        return self.pieces.end(values) if self.is_last else values

    def loss(self, network: Any, batch: Arrays) -> Tensor:
        """As the port's, of a network that is in no pipeline."""
        return self._tokens(told(network, training=True)(batch["input_ids"]), batch["targets"])

    def loss_of(self, scores: Tensor, batch: Arrays) -> Tensor:
        """Mean cross entropy of the next tokens."""
        return self._tokens(scores, batch["targets"])

    def judge_of(self, scores: Tensor, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """Cross entropy of each sequence."""
        return {"perplexity": (self._sequences(scores, batch["targets"]),)}


def _require_stages(blocks: int, stages: int) -> None:
    if blocks % stages:
        fits = [str(count) for count in range(2, blocks + 1) if blocks % count == 0]
        raise PortError(
            f"topology.parallel.pipeline={stages} does not divide the {blocks} layers; these do: {', '.join(fits)}"
        )
