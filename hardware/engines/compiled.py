"""A compiled network: how it is run, and what is known about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from hardware.engines.graph import Tensors
from hardware.precision.evidence import Evidence


@dataclass(kw_only=True, slots=True, frozen=True)
class Coverage:
    """Which nodes of the graph an engine took, and which something else runs."""

    taken: int
    total: int
    fallbacks: dict[str, str] = field(default_factory=dict)
    """Operator, or node, to the reason why it was not taken; as the engine tells it."""
    subgraphs: int | None = None
    """Pieces that the graph was cut into, those that fell back included; None where the engine does not tell."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Made:
    """What compiling took and left."""

    compile_s: float | None
    """Seconds in which something was compiled; None with `compile_reason` where nothing was."""
    compile_reason: str | None = None
    export_s: float | None = None
    """Seconds of turning the network into the engine's form; None with `export_reason` where nothing was."""
    export_reason: str | None = "the engine takes the network as it is"
    size_bytes: int | None = None
    """Of what is kept and loaded: engine, model file; None with `size_reason`."""
    size_reason: str | None = "the engine keeps no file"
    coverage: Coverage | None = None
    coverage_reason: str | None = "the engine does not tell which nodes it took"

    def __post_init__(self) -> None:
        for name in ("compile", "export", "size", "coverage"):
            value = getattr(self, {"size": "size_bytes", "coverage": "coverage"}.get(name, f"{name}_s"))
            if value is not None:
                object.__setattr__(self, f"{name}_reason", None)
            assert value is not None or getattr(self, f"{name}_reason"), "null needs a reason"


class Compiled(ABC):
    """A network that is ready to be run. The harness owns arrival and clock; this only completes requests.

    `run` may return before its work is done; `synchronize` waits for it. What `run` takes may be used again.
    """

    made: Made
    evidence: Evidence

    @abstractmethod
    def place(self, inputs: Tensors) -> Any:
        """Bring a request's inputs from the host to where the engine takes them."""

    @abstractmethod
    def run(self, placed: Any) -> Any:
        """Compute the outputs, in the engine's own form."""

    @abstractmethod
    def fetch(self, outputs: Any) -> Tensors:
        """Wait for outputs and bring them to the host, in the types that the engine computed them in."""

    def synchronize(self) -> None:  # noqa: B027 -- most engines return when they are done
        """Wait until everything that was submitted is done."""

    def close(self) -> None:  # noqa: B027 -- most engines leave that to the process's end
        """Give back what the engine holds."""

    def complete(self, inputs: Tensors) -> Tensors:
        """One request, from host to host."""
        return self.fetch(self.run(self.place(inputs)))
