"""How many devices, where, how they share the work, and how their ranks are started."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from models.ranges import Count, Devices, Seconds
from runner.config.schema.sections import STRICT
from runner.core.registries import LAUNCHERS

SHARDED = ("fsdp", "tensor", "pipeline")
"""Axes of a parallel layout by which one copy of a model is spread."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class Parallel:
    """How the ranks share the work; the product of the four is their number."""

    data: Count | None = None
    """Copies of the model, each with batches of its own; None: as many as the other three leave room for."""
    fsdp: Count = 1
    """Ranks over which one copy's weights, gradients and optimizer state are spread (FSDP2, ZeRO-3); each has batches
    of its own."""
    tensor: Count = 1
    """Ranks that share each layer's matrices, and the batch."""
    pipeline: Count = 1
    """Ranks that share the layers, and the batch."""

    @property
    def shared(self) -> int:
        """Ranks that work on one batch together."""
        return self.tensor * self.pipeline


@dataclass(kw_only=True, slots=True, config=STRICT)
class Topology:
    """How many devices, where, and how they share the work."""

    name: Literal["single", "node", "cluster"]
    nodes: Count = 1
    devices: Devices | Literal["auto"] = 1
    """Of each node."""
    parallel: Parallel = field(default_factory=Parallel)

    @property
    def ranks(self) -> int:
        """Devices of the whole job, a rank each; known once `devices` is a number."""
        assert isinstance(self.devices, int), "the number of devices has been looked up"
        return self.nodes * self.devices

    @property
    def layout(self) -> str:
        """What is not data parallel alone, in words: `fsdp 4, tensor 2`; else `data`."""
        sizes = {name: getattr(self.parallel, name) for name in SHARDED}
        return ", ".join(f"{name} {size}" for name, size in sizes.items() if size > 1) or "data"

    @property
    def batches(self) -> int:
        """Ranks, or groups of ranks, with a batch of their own; the job's throughput is the sum of theirs."""
        return self.ranks // self.parallel.shared


@dataclass(kw_only=True, slots=True, config=STRICT)
class LauncherSpec:
    """How the ranks of a case come to their nodes; decides nothing about the result.

    A launcher with options of its own has a subclass of this.
    """

    name: str = "local"
    address: str | None = None
    """This machine's name or address, and `:PORT` if wanted, by which the nodes reach it; None: its host name."""
    wait_s: Seconds = 300.0
    """How long nodes are waited for."""
    lost_s: Seconds = 60.0
    """A node that says nothing for so long is taken for dead."""


def with_launcher_options(values: Any) -> Any:
    """The section in the form that its launcher gives it."""
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        return values
    options: type[LauncherSpec] = LAUNCHERS.find(values["name"]).options
    return TypeAdapter(options).validate_python(values)
