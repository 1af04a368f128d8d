"""What an engine must do to be chosen with `compiler=`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.compiled import Compiled
from hardware.engines.generation import CompiledGeneration, GenerationGraph
from hardware.engines.graph import Graph, Placement

if TYPE_CHECKING:
    from torch import nn

EXISTING = "engine_path"
"""Option of engines that can load what was compiled before: `compiler.engine_path=FILE`."""


class UnsupportedGraphError(ValueError):
    """An engine cannot take a network, whatever the precision."""

    def __init__(self, engine: str, node: str, reason: str) -> None:
        """Say what was refused.

        Args:
            engine: as it is chosen, or the form that the network was to be turned into.
            node: operator, node or file that it stopped at.
            reason: in the engine's words, one line.
        """
        super().__init__(f"{engine} cannot take the network: {node}: {reason}")
        self.engine, self.node, self.reason = engine, node, reason


class Engine(ABC):
    """A compiler with the options of the case. Its packages are imported inside methods: the parent asks it, too."""

    known_options: ClassVar[tuple[str, ...]] = ()
    """Names of the options it understands."""
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    """Choices of `precision=` in which it can serve a network."""
    trains: ClassVar[bool] = False
    """Whether it can compile a network that is trained."""
    generates: ClassVar[bool] = False
    """Whether it can have a network write: `compile_generation`."""
    forwards: ClassVar[bool] = True
    """Whether it can have a network answer in one forward pass: `compile`."""
    reads_checkpoint: ClassVar[bool] = False
    """Whether it reads the weights itself, so that there must be a checkpoint."""
    on_host: ClassVar[bool] = True
    """Whether it can compile for the host's processor, which emulate=true puts in the vendor's place."""
    modules: ClassVar[tuple[str, ...]] = ()
    """Python modules that it imports."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions whose versions decide what it makes; their versions go into the result and into the cache's key."""
    extra: ClassVar[str | None] = None
    """The project's extra that installs it; None where it comes from the vendor."""
    obtained: ClassVar[str | None] = None
    """How its packages come to a machine where no extra installs them; half a sentence."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Take the options of the case.

        Raises:
            ValueError: an option that it does not know; names the nearest one.
        """
        for name in options:
            if name not in self.known_options:
                near = get_close_matches(name, self.known_options, n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise ValueError(f"{name} is not an option here.{hint} There are: {self._listed()}")
        self.options = dict(options)

    def unavailable_reason(self) -> str | None:
        """Why nothing can be compiled on this machine; None when it can. Quick, and imports nothing heavy."""
        missing = [name for name in self.modules if not _is_there(name)]
        if not missing:
            return None
        several = "packages" if len(missing) > 1 else "package"
        source = f"pip install 'touchstone[{self.extra}]'" if self.extra else self.obtained
        how = f": {source}" if source else ""
        return f"the Python {several} {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed{how}"

    def compile_in_place(self, network: nn.Module) -> None:
        """Have `network`, which is to be trained, compiled in place: the names of its parameters stay.

        The first steps may pay for it.

        Raises:
            NotImplementedError: the engine only serves networks.
        """
        raise NotImplementedError(f"{type(self).__name__} compiles networks that are served, not trained")

    @abstractmethod
    def compile(self, graph: Graph, placement: Placement) -> Compiled:
        """Compile a network that is served, for the shapes of the graph's inputs.

        Raises:
            hardware.base.PrecisionUnsupportedError: it cannot serve in the precision; never another one instead.
            UnsupportedGraphError: it cannot take the network.
        """

    def compile_generation(self, graph: GenerationGraph, placement: Placement) -> CompiledGeneration:
        """Compile a network that writes, for the rows and lengths of the graph.

        Raises:
            NotImplementedError: the engine answers in one forward pass alone.
            hardware.base.PrecisionUnsupportedError: it cannot serve in the precision; never another one instead.
        """
        raise NotImplementedError(f"{type(self).__name__} answers in one forward pass")

    def _listed(self) -> str:
        return ", ".join(self.known_options) or "none"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
