"""`compiler=eager`: none; operators run one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hardware.engines.base import Engine
from hardware.engines.compiled import Made
from hardware.engines.generation import GenerationGraph
from hardware.engines.graph import Graph, Placement
from hardware.engines.native.network import FLOATING, NativeCompiled, Placed

if TYPE_CHECKING:
    from torch import nn

    from hardware.engines.native.generation import NativeGeneration


NOTHING = Made(
    compile_s=None,
    compile_reason="eager compiles nothing",
    coverage_reason="nothing was compiled: the framework runs every operator",
)


class Eager(Engine):
    """The framework alone."""

    trains: ClassVar[bool] = True
    generates: ClassVar[bool] = True
    precisions: ClassVar[tuple[str, ...]] = FLOATING

    def compile_in_place(self, network: nn.Module) -> None:
        """Leave the network as it is."""

    def compile(self, graph: Graph, placement: Placement) -> NativeCompiled:
        """Place the network on the device."""
        placed = Placed(graph, placement)
        return NativeCompiled(placed, placed.network, NOTHING)

    def compile_generation(self, graph: GenerationGraph, placement: Placement) -> NativeGeneration:
        """Place the network and its cache on the device."""
        from hardware.engines.native.generation import NativeGeneration

        return NativeGeneration(graph, placement, NOTHING)
