"""Where a tensor of a PyTorch network lies in another framework's, and how it is laid out there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

Axes = tuple[int, ...]
AS_IS: Axes = ()
TRANSPOSED: Axes = (1, 0)
"""Of a matrix: torch's linear layers keep (output, input), most others (input, output)."""
KERNEL: Axes = (2, 3, 1, 0)
"""Of a convolution: torch keeps (output, input, height, width), most others (height, width, input, output)."""


@dataclass(frozen=True, slots=True)
class WeightPlace:
    """A tensor's name in a port's network."""

    name: str
    axes: Axes = AS_IS
    """Its axes there, as numbers of torch's; empty where they are the same."""

    def laid_out(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Torch's array in the port's layout."""
        return np.ascontiguousarray(array.transpose(self.axes)) if self.axes else array

    def turned_back(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The port's array in torch's layout."""
        return np.ascontiguousarray(array.transpose(np.argsort(self.axes))) if self.axes else array


Dialect = Mapping[str, Mapping[str, tuple[str, Axes]]]
"""Name of a torch layer's class to, for each of its tensors, the framework's name and axes."""


def mirrored(
    network: nn.Module, dialect: Dialect, *, renamed: tuple[tuple[str, str], ...] = (), joined: str = "."
) -> dict[str, WeightPlace]:
    """The places of a port whose layers have the names of the original's.

    Args:
        network: the original's.
        dialect: what the framework calls the tensors of each kind of layer.
        renamed: regular expressions and what stands in their place in a layer's name, one after the other.
        joined: what stands between the names of nested layers.

    Raises:
        KeyError: a layer that the dialect does not know.
    """
    places: dict[str, WeightPlace] = {}
    for layer_name, layer in network.named_modules(remove_duplicate=True):
        own = {name for name, _ in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False))}
        kept = own & layer.state_dict().keys()  # some buffers are computed, not kept
        if not kept:
            continue
        tensors = dialect[type(layer).__name__]
        name = layer_name
        for pattern, replacement in renamed:
            name = re.sub(pattern, replacement, name)
        for tensor in sorted(kept & tensors.keys()):
            own_name, axes = tensors[tensor]
            places[f"{layer_name}.{tensor}"] = WeightPlace(f"{name}.{own_name}".replace(".", joined), axes)
    return _without_tied(network, places)


def _without_tied(network: nn.Module, places: dict[str, WeightPlace]) -> dict[str, WeightPlace]:
    """Of tensors that are one under several names, the first name alone."""
    state, seen = network.state_dict(), set[int]()
    first: dict[str, WeightPlace] = {}
    for name, place in places.items():
        if state[name].numel() and state[name].data_ptr() in seen:
            continue
        seen.add(state[name].data_ptr())
        first[name] = place
    return first
