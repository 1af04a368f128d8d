"""Splits a decoder's matrices over a tensor group: fleet's layers in the place of paddle.nn's, under the same names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from paddle import nn
from paddle.distributed import fleet
from paddle.distributed.fleet.layers.mpu import mp_ops
from paddle.distributed.fleet.layers.mpu.random import MODEL_PARALLEL_RNG, get_rng_state_tracker

from models.ports.paddle.gpt import GptAttentionPaddle, GptNetworkPaddle
from models.ports.paddle.parallel.pieces import DecoderPieces
from models.ports.paddle.parallel.slices import Slice
from models.sharding.plan import Split, TensorPlan

COLUMNS, ROWS = 1, 0
"""Axes of a matrix (input, output)."""


def split(pieces: DecoderPieces, plan: TensorPlan, group: Any) -> dict[str, Slice]:
    """Replace the layers that a plan names.

    Args:
        pieces: of the whole network, in the host's memory.
        plan: of the original, whose layers have the same names.
        group: fleet's of the tensor-parallel ranks.

    Returns:
        How each tensor that is split now is, by its name.
    """
    slices: dict[str, Slice] = {}
    for name, layer in pieces.network.named_sublayers():
        kind = _kind(name, plan)
        if kind is None or not isinstance(layer, nn.Linear | nn.Embedding):
            continue
        joined = next((count for end, count in pieces.joined.items() if name.endswith(end)), 1)
        own, found = _own(layer, kind, joined, group)
        _put(pieces.network, name, own)
        slices |= {f"{name}.{tensor}": one for tensor, one in found.items()}
    _adapt(pieces.network, group)
    return slices


def _kind(name: str, plan: TensorPlan) -> Split | None:
    """How the plan splits a layer; a pattern `…c_attn.*` names the parts into which the original's layer is taken."""
    for pattern, kind in plan.splits.items():
        if fnmatchcase(name, pattern.removesuffix(".*")):
            return kind
    return None


def _own(layer: Any, kind: Split, joined: int, group: Any) -> tuple[Any, dict[str, Slice]]:
    """A rank's layer, and how its tensors are cut."""
    if kind == "rows_of_whole":
        rows, width = layer.weight.shape
        return fleet.meta_parallel.VocabParallelEmbedding(rows, width, mp_group=group), {"weight": Slice(ROWS)}
    (inputs, outputs), bias = layer.weight.shape, layer.bias is not None
    if kind == "rows":
        own = fleet.meta_parallel.RowParallelLinear(
            inputs, outputs, has_bias=bias, input_is_parallel=True, mp_group=group
        )
        return own, {"weight": Slice(ROWS)}
    # A head's scores stay apart: the loss is computed over the group.
    own = fleet.meta_parallel.ColumnParallelLinear(inputs, outputs, has_bias=bias, gather_output=False, mp_group=group)
    cut = {"weight": Slice(COLUMNS, joined), "bias": Slice(0, joined)}
    return own, cut if bias else {"weight": cut["weight"]}


def _adapt(network: Any, group: Any) -> None:
    """What is more than a layer: the embedding as a head, and dropout of a rank's own heads."""
    for layer in (network, *network.sublayers()):
        kind: Any = type(layer)
        if kind is GptNetworkPaddle:
            layer.entering_head = lambda values: mp_ops._c_identity(values, group=group)
        elif kind is GptAttentionPaddle:
            layer.own_random = lambda: get_rng_state_tracker().rng_state(MODEL_PARALLEL_RNG)


def _put(network: Any, name: str, layer: Any) -> None:
    parent, _, last = name.rpartition(".")
    for part in parent.split("."):
        if part:
            network = getattr(network, part)
    setattr(network, last, layer)
