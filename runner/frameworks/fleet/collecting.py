"""The whole weights on every rank's host, tensor by tensor, from the ranks that have a part or the float32 master."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from models.ports.paddle.attention import NARROW
from models.ports.paddle.parallel.decoder import SpreadDecoder
from runner.frameworks.fleet.exchange import GradientExchange
from runner.frameworks.fleet.ranks import FleetRanks

Array = np.ndarray[Any, Any]


def whole_weights(
    fleet: FleetRanks,
    exchange: GradientExchange,
    state: Mapping[str, Tensor],
    masters: Mapping[str, Tensor],
    decoder: SpreadDecoder | None,
) -> dict[str, Array]:
    """Every tensor of the network by its name; every rank calls this together.

    Args:
        fleet: the rank's groups.
        exchange: who updates what.
        state: this rank's own tensors.
        masters: of narrow parameters that it updates, what they are made from.
        decoder: how its network is a share of the whole; None where it is all of it.
    """
    names = list(state) if decoder is None else list(decoder.whole_shapes)
    found: dict[str, Array] = {}
    for name in names:
        here = decoder is None or decoder.stages[name] == decoder.share.stage
        own = None
        if here:
            own = masters[name] if name in masters else _wide(state[name])
            own = exchange.from_owner(name, own)
            if decoder is not None:
                own = _joined(fleet, decoder, name, own)
        if decoder is not None and fleet.pipe is not None:
            own = _from_stage(fleet, decoder, name, own)
        assert own is not None, "every tensor is somewhere"
        found[name] = own.numpy()
    return found


def _wide(tensor: Tensor) -> Tensor:
    """Apart from the network, and float32 where it is narrow."""
    return tensor.detach().astype("float32") if tensor.dtype in NARROW else tensor.detach()


def _joined(fleet: FleetRanks, decoder: SpreadDecoder, name: str, own: Tensor) -> Tensor:
    """From the shares of a tensor group."""
    cut = decoder.slice_of(name)
    if fleet.tensor is None or cut.axis is None:
        return own
    shares: list[Tensor] = []
    paddle.distributed.all_gather(shares, own, group=fleet.tensor)
    return paddle.to_tensor(cut.whole([one.numpy() for one in shares]))


def _from_stage(fleet: FleetRanks, decoder: SpreadDecoder, name: str, own: Tensor | None) -> Tensor:
    """From the stage that has it."""
    shared = paddle.zeros(decoder.whole_shapes[name], dtype="float32") if own is None else own
    paddle.distributed.broadcast(shared, fleet.pipe.ranks[decoder.stages[name]], group=fleet.pipe)
    return shared
