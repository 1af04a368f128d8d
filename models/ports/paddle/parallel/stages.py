"""Which layers a stage of a pipeline has; the others are taken out of the network, names stay as they are."""

from __future__ import annotations

from typing import Any

from paddle import nn

from models.ports.paddle.parallel.pieces import DecoderPieces


class ElsewherePaddle(nn.Layer):
    """In the place of a layer that another stage has; it has no parameters and is not called."""


def stage_of(name: str, pieces: DecoderPieces, stages: int) -> int:
    """Which stage has a tensor; of a tied one, the first.

    Args:
        name: of the tensor.
        pieces: of the network.
        stages: of the pipeline; they have equally many blocks.
    """
    if name.startswith(pieces.blocks + "."):
        number = int(name.removeprefix(pieces.blocks + ".").split(".")[0])
        return number * stages // len(pieces.listed())
    behind = any(name.startswith(one + ".") for one in pieces.last)
    return stages - 1 if behind else 0


def keep(pieces: DecoderPieces, stage: int, stages: int) -> range:
    """Take out what other stages have.

    Returns:
        The numbers of this stage's blocks.
    """
    blocks = pieces.listed()
    each = len(blocks) // stages
    own = range(stage * each, (stage + 1) * each)
    for number in range(len(blocks)):
        if number not in own:
            blocks[number] = ElsewherePaddle()
    if stage > 0:
        for name in pieces.first:
            if not (name == pieces.tied and stage == stages - 1):
                _take_out(pieces.network, name)
    if stage < stages - 1:
        for name in pieces.last:
            _take_out(pieces.network, name)
    return own


def _take_out(network: Any, name: str) -> None:
    *path, last = name.split(".")
    for part in path:
        network = getattr(network, part)
    setattr(network, last, ElsewherePaddle())
