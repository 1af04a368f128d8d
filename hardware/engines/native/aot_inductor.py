"""`compiler=aot_inductor`: an exported network, compiled by TorchInductor ahead of time into a package."""

from __future__ import annotations

import json
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from hardware.engines.base import EXISTING, Engine
from hardware.engines.compiled import Made
from hardware.engines.graph import Graph, Placement, Tensors, keep
from hardware.engines.native.dynamo import cold
from hardware.engines.native.inductor import Inductor
from hardware.engines.native.network import FLOATING, NativeCompiled, Placed, Surroundings
from hardware.precision.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor, nn

LEAST_TORCH = (2, 7)
"""From which packages can be loaded onto a device that is named."""
PACKAGE, FACTS = "network.pt2", ".json"
"""A package, and the suffix of the file beside it: its evidence, and the inputs that it takes and does not check."""


class Took(NamedTuple):
    """Seconds of both steps; None with the reason where neither was taken."""

    export_s: float | None = None
    compile_s: float | None = None
    reason: str | None = None


class AotInductor(Inductor):
    """torch.export and AOTInductor; `engine_path` loads a package in the place of compiling."""

    trains: ClassVar[bool] = False
    generates: ClassVar[bool] = False
    precisions: ClassVar[tuple[str, ...]] = FLOATING
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "mode")
    modes: ClassVar[tuple[str, ...]] = ("default", "max-autotune")
    compile_in_place = Engine.compile_in_place

    def unavailable_reason(self) -> str | None:
        """It needs a torch that has packages, and a compiler of the host."""
        found = version("torch")
        if tuple(map(int, found.split(".")[:2])) < LEAST_TORCH:
            return f"torch {found} has no packages of AOTInductor: {'.'.join(map(str, LEAST_TORCH))} has"
        return super().unavailable_reason()

    def compile(self, graph: Graph, placement: Placement) -> NativeCompiled:
        """Load the package given, or that of an earlier run, or make one.

        Raises:
            ValueError: the package given is not there, or was made for other inputs.
        """
        import torch

        if EXISTING in self.options:
            path = Path(self.options[EXISTING])
            reason = f"{path.name} was compiled before, as compiler.{EXISTING} says"
            return _loaded(path, graph, placement, Took(reason=reason))
        # The host's machine code has its number of threads in it.
        folder = placement.folder / f"aot_inductor_{torch.get_num_threads()}_threads"
        took = Took(reason="an earlier run had compiled it")

        def make(draft: Path) -> None:
            nonlocal took
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            took = self._made(graph, placement, draft / PACKAGE)

        keep(folder, make)
        return _loaded(folder / PACKAGE, graph, placement, took)

    def _made(self, graph: Graph, placement: Placement, path: Path) -> Took:
        """Write a package."""
        import torch
        from torch._inductor import aoti_compile_and_package, config, list_mode_options

        from hardware.engines.native.products import Products

        placed = Placed(graph, placement)
        began_s = time.perf_counter()
        with torch.no_grad():
            program = torch.export.export(within_context(placed), placed.place(graph.inputs))
        exported_s = time.perf_counter()
        products = Products()
        with cold(), config.patch(post_grad_custom_pre_pass=products.add_graph):
            draft = path.with_name(f"draft_{path.name}")
            modes = {} if self.mode == "default" else list_mode_options(self.mode)
            aoti_compile_and_package(program, package_path=str(draft), inductor_configs=modes)
        compiled_s = time.perf_counter()
        facts = {"evidence": placed.evidence(products).told(), "inputs": _forms(placed.place(graph.inputs))}
        path.with_suffix(FACTS).write_text(json.dumps(facts))
        draft.rename(path)
        return Took(exported_s - began_s, compiled_s - exported_s)


def within_context(placed: Placed) -> nn.Module:
    """The network with its autocast inside: torch.export does not record one that it is called in."""
    from torch import nn

    class Within(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = placed.network

        def forward(self, *inputs: Tensor) -> Tensors:
            with placed.context():
                outputs: Tensors = self.network(*inputs)
            return outputs

    return Within() if placed.precision.autocast else placed.network


def _loaded(path: Path, graph: Graph, placement: Placement, took: Took) -> NativeCompiled:
    """A package, ready to be run; it holds the weights that it was made of."""
    from torch._inductor import aoti_load_package

    if not path.is_file():
        raise ValueError(f"compiler.{EXISTING}: {path} is no file")
    surroundings = Surroundings(placement)
    beside = path.with_suffix(FACTS)
    facts = json.loads(beside.read_text()) if beside.is_file() else {}
    forms = _forms(surroundings.place(graph.inputs))
    if facts.get("inputs", forms) != forms:
        raise ValueError(f"{path} was compiled for inputs {facts['inputs']}, and these are {forms}")
    index = placement.device.index if placement.device.index is not None else -1
    made = Made(
        export_s=took.export_s,
        export_reason=took.reason,
        compile_s=took.compile_s,
        compile_reason=took.reason,
        size_bytes=path.stat().st_size,
        coverage_reason="a package is the whole network: torch.export leaves nothing to Python",
    )
    told = facts.get("evidence")
    evidence = surroundings.evidence()
    if told:
        evidence = Evidence(**told | {key: tuple(told[key]) for key in ("weights", "compute")})
    return NativeCompiled(surroundings, aoti_load_package(str(path), device_index=index), made, evidence=evidence)


def _forms(inputs: Tensors) -> list[list[Any]]:
    return [[str(one.dtype), list(one.shape)] for one in inputs]
