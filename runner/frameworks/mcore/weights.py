"""The weights of one rank's stage: cut from whole tensors, and gathered whole again on the first rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from megatron.core import parallel_state
from torch import Tensor, distributed, nn

from models.ports.megatron.port import EMBEDDING, HEAD, LAYER, MegatronPort
from models.ports.port import PortError
from runner.frameworks.mcore.optimizer import set_weight, updated_weight
from runner.measure.ranks import Ranks


def named_wholes(port: MegatronPort) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter of this rank's stage with the whole network's name of it; a tied head has the embedding's."""
    layers = port.network.decoder.layers
    first = layers[0].layer_number - 1 if len(layers) else 0
    for name, parameter in port.network.named_parameters():
        if name == HEAD and port.tied:
            yield EMBEDDING, parameter
        elif name.startswith(LAYER):
            number, rest = name.removeprefix(LAYER).split(".", 1)
            yield f"{LAYER}{int(number) + first}.{rest}", parameter
        else:
            yield name, parameter


def set_weights(port: MegatronPort, optimizer: Any, weights: Mapping[str, Tensor]) -> None:
    """Give this rank its part of each whole tensor.

    Raises:
        PortError: names or shapes differ.
    """
    rank, ranks = parallel_state.get_tensor_model_parallel_rank(), parallel_state.get_tensor_model_parallel_world_size()
    with torch.no_grad():
        for name, parameter in named_wholes(port):
            if name not in weights:
                raise PortError(f"the original has nothing for {name}")
            part = port.wholes[name].part(weights[name], rank, ranks)
            if part.shape != parameter.shape:
                raise PortError(f"{name} has shape {tuple(parameter.shape)}, its part {tuple(part.shape)}")
            set_weight(optimizer, parameter, part.float())


def whole_weights(port: MegatronPort, optimizer: Any, ranks: Ranks) -> dict[str, Tensor]:
    """Every whole tensor on the first rank's host, float32; nothing on the others; all ranks call this together."""
    own = {name: parameter for name, parameter in named_wholes(port) if not getattr(parameter, "shared", False)}
    copies = parallel_state.get_data_parallel_group()
    first_copy = parallel_state.get_data_parallel_rank() == 0
    found: dict[str, Tensor] = {}
    for name, whole in port.wholes.items():
        part = None
        if name in own:
            updated = updated_weight(optimizer, own[name], copies)
            part = updated.cpu() if first_copy else None
        parts = _gathered(part, ranks)
        if ranks.rank == 0:
            found[name] = whole.joined([one for one in parts if one is not None]).clone()
    return found


def _gathered(part: Tensor | None, ranks: Ranks) -> list[Tensor | None]:
    """What the ranks have of one tensor, on the first rank."""
    control = getattr(ranks, "control", None)
    if control is None:
        return [part]
    parts: list[Tensor | None] | None = [None] * ranks.world if ranks.rank == 0 else None
    distributed.gather_object(part, parts, dst=0, group=control)
    return parts or []


def owned_count(port: MegatronPort) -> int:
    """Numbers to train in this rank's stage that no other rank of its copy counts."""
    first = parallel_state.get_tensor_model_parallel_rank() == 0
    return sum(
        parameter.numel()
        for _, parameter in named_wholes(port)
        if (first or getattr(parameter, "tensor_model_parallel", False)) and not getattr(parameter, "shared", False)
    )
