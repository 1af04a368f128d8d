"""Where arrays lie: on this rank's device alone, or over the devices of all ranks.

Ranks stand in a mesh of data x fsdp x tensor, neighbours share a tensor group. Each rank puts its own batch and its own
part of every array on its own device; what they send each other is inside the compiled program.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

from models.ports.port import Port, PortError
from models.sharding.plan import Split
from runner.config.schema import Topology

DATA, FSDP, TENSOR = "data", "fsdp", "tensor"
BATCH = (DATA, FSDP)
"""Axes along which ranks have batches of their own."""
SPLIT_AXIS: dict[Split, int] = {"columns": 0, "rows": 1, "columns_gathered": 0, "rows_of_whole": 1}
"""Axis of a torch layer's weight, (output, input), that is split."""
EMBEDDING_AXIS: dict[Split, int] = {"columns_gathered": 1, "rows_of_whole": 0}
"""The same of an embedding, (words, width)."""


class RankLayout:
    """Of one rank alone: everything on its device."""

    world = 1
    mesh: Mesh | None = None

    def __init__(self, device: Any) -> None:
        """Take this rank's device."""
        self.device = device

    def place(self, name: str, array: np.ndarray[Any, Any]) -> Any:
        """A parameter, or what else is alike on all ranks, from the host's whole array."""
        return jax.device_put(array, self.device)

    def batch(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
        """This rank's batch; does not wait."""
        placed: dict[str, Any] = jax.device_put(dict(arrays), self.device)
        return placed

    def whole(self, array: Any) -> np.ndarray[Any, Any]:
        """All of an array on the host; every rank calls it."""
        return np.asarray(array)

    def own(self, array: Any) -> np.ndarray[Any, Any]:
        """This rank's part of what every rank has one of."""
        return np.asarray(array)

    def sharding(self, name: str | None = None) -> Any:
        """Of a parameter by name; None: of what is alike on all ranks."""
        return jax.sharding.SingleDeviceSharding(self.device)


class SpreadLayout(RankLayout):
    """Of several ranks."""

    def __init__(self, device: Any, topology: Topology, port: Port) -> None:
        """Spread a port's parameters.

        Raises:
            PortError: the model cannot be split over so many ranks.
        """
        super().__init__(device)
        self.world, parallel = topology.ranks, topology.parallel
        shape = (topology.ranks // (parallel.fsdp * parallel.tensor), parallel.fsdp, parallel.tensor)
        devices = sorted(jax.devices(), key=lambda one: one.process_index)
        self.mesh = Mesh(np.array(devices).reshape(shape), (DATA, FSDP, TENSOR))
        self.batches = shape[0] * shape[1]
        self.sharded = parallel.fsdp > 1
        self.specs = _specs(port, fsdp=parallel.fsdp, tensor=parallel.tensor)

    def place(self, name: str, array: np.ndarray[Any, Any]) -> Any:
        """This rank's part of it."""
        return jax.make_array_from_callback(array.shape, self.sharding(name), lambda index: array[index])

    def batch(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
        """One array per tensor with a first axis over the ranks' batches, of which this rank has its own."""
        sharding = NamedSharding(self.mesh, Spec(BATCH))
        own = jax.device_put({name: array[None] for name, array in arrays.items()}, self.device)
        return {
            name: jax.make_array_from_single_device_arrays((self.batches, *one.shape[1:]), sharding, [one])
            for name, one in own.items()
        }

    def whole(self, array: Any) -> np.ndarray[Any, Any]:
        """Gathered over the ranks."""
        return np.asarray(array if array.is_fully_replicated else self._gathering()(array))

    @cache  # noqa: B019 -- as long as the layout lives
    def _gathering(self) -> Any:
        return jax.jit(lambda array: array, out_shardings=self.sharding())

    def own(self, array: Any) -> np.ndarray[Any, Any]:
        """The part on this rank's device, without the axis over the ranks' batches."""
        found: np.ndarray[Any, Any] = np.asarray(array.addressable_data(0))[0]
        return found

    def sharding(self, name: str | None = None) -> Any:
        """Of a parameter by name."""
        return NamedSharding(self.mesh, self.specs.get(name, Spec()) if name else Spec())

    def fsdp_axis(self, name: str) -> int | None:
        """The axis along which a parameter is spread over the ranks of one copy; None: each of them has all of it."""
        return next((axis for axis, part in enumerate(self.specs[name]) if part == FSDP), None)


def _specs(port: Port, *, fsdp: int, tensor: int) -> dict[str, Spec]:
    """How each parameter of a port is spread: by the model's own plan over tensor ranks, else along one axis."""
    state, plan = port.original.network.state_dict(), port.original.tensor_plan()
    if tensor > 1 and (plan is None or tensor not in plan.fitting):
        fitting = "none" if plan is None else ", ".join(map(str, plan.fitting)) or "none"
        raise PortError(f"topology.parallel.tensor={tensor} does not divide its matrices; these do: {fitting}")
    splits = {} if plan is None or tensor == 1 else plan.splits
    modules = dict(port.original.network.named_modules())
    trained = dict(port.original.network.named_parameters(remove_duplicate=False))
    found: dict[str, Spec] = {}
    for name, place in port.places().items():
        if name not in trained:
            continue
        shape, axes = state[name].shape, place.axes or tuple(range(state[name].dim()))
        own = [shape[axis] for axis in axes]
        parts: list[str | None] = [None] * len(own)
        layer, _, tensor_name = name.rpartition(".")
        split = next((how for pattern, how in splits.items() if fnmatchcase(layer, pattern)), None)
        axis = _split_axis(type(modules[layer]).__name__, tensor_name, split)
        if axis is not None:
            parts[axes.index(axis)] = TENSOR
        free = [axis for axis, size in enumerate(own) if parts[axis] is None and size % fsdp == 0]
        if fsdp > 1 and free:
            parts[max(free, key=lambda axis: own[axis])] = FSDP
        found[place.name] = Spec(*parts)
    return found


def _split_axis(kind: str, tensor: str, split: Split | None) -> int | None:
    """The axis of a torch tensor that a plan splits; None: none."""
    if split is None or split == "summed":
        return None
    if kind == "Embedding":
        return EMBEDDING_AXIS[split]
    axis = SPLIT_AXIS[split]
    return axis if tensor == "weight" or axis == 0 else None
