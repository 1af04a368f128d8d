"""`compiler=aot_inductor`: an exported network, compiled by TorchInductor ahead of time into a package."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from hardware.engines.base import EXISTING, Engine
from hardware.engines.compiled import Made
from hardware.engines.exported.program import unsupported
from hardware.engines.graph import Graph, Placement, Tensors, keep
from hardware.engines.native.dynamo import cold
from hardware.engines.native.inductor import no_host_compiler
from hardware.engines.native.network import FLOATING, NativeCompiled, Placed, Surroundings
from hardware.precision.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

MODES = ("default", "max-autotune")
LEAST_TORCH = (2, 7)
"""From which packages can be loaded onto a device that is named."""
PACKAGE, FACTS = "network.pt2", ".json"
"""A package, and the suffix of the file beside it: its evidence, and the inputs that it takes and does not check."""


class Took(NamedTuple):
    """Seconds of both steps; None with the reason where neither was taken."""

    export_s: float | None = None
    compile_s: float | None = None
    reason: str | None = None


class AotInductor(Engine):
    """torch.export and AOTInductor; `engine_path` loads a package in the place of compiling."""

    precisions: ClassVar[tuple[str, ...]] = FLOATING
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "mode")

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.mode = options.get("mode", "default")
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode} is unknown; there are {', '.join(MODES)}")

    def unavailable_reason(self) -> str | None:
        """It needs a torch that has packages, and a compiler of the host."""
        found = version("torch")
        if tuple(map(int, found.split(".")[:2])) < LEAST_TORCH:
            return f"torch {found} has no packages of AOTInductor: {'.'.join(map(str, LEAST_TORCH))} has"
        return no_host_compiler()

    def compile(self, graph: Graph, placement: Placement) -> NativeCompiled:
        """Load the package given, or that of an earlier run, or make one.

        Raises:
            UnsupportedGraphError: torch.export does not capture the network.
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
        from torch._inductor import aoti_compile_and_package, config, list_mode_options

        from hardware.engines.native.products import Products

        placed = Placed(graph, placement)
        began_s = time.perf_counter()
        laid = placed.place(graph.inputs)
        program = exported(within_context(placed), laid)
        exported_s = time.perf_counter()
        products = Products()
        with cold(), config.patch(post_grad_custom_pre_pass=products.add_graph):
            draft = path.with_name(f"draft_{path.name}")
            modes = {} if self.mode == "default" else list_mode_options(self.mode)
            aoti_compile_and_package(program, package_path=str(draft), inductor_configs=modes)
        compiled_s = time.perf_counter()
        facts = {"evidence": placed.evidence(products).told(), "inputs": _forms(laid)}
        path.with_suffix(FACTS).write_text(json.dumps(facts))
        draft.rename(path)
        return Took(exported_s - began_s, compiled_s - exported_s)


def exported(network: nn.Module, inputs: Tensors) -> ExportedProgram:
    """The network for the shapes and strides of its inputs.

    Raises:
        UnsupportedGraphError: what it does depends on the values of its inputs.
    """
    import torch
    from torch._dynamo.exc import TorchDynamoException
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    try:
        with torch.no_grad():
            return torch.export.export(network, inputs, strict=False)
    except (TorchDynamoException, GuardOnDataDependentSymNode) as error:
        raise unsupported("aot_inductor", error) from error


class Packaged(NativeCompiled):
    """A package, which takes whatever it is given for what it was compiled for."""

    def __init__(
        self, surroundings: Surroundings, call: Any, made: Made, evidence: Evidence, forms: list[list[Any]]
    ) -> None:
        super().__init__(surroundings, call, made, evidence=evidence)
        self._forms = forms

    def place(self, inputs: Tensors) -> Tensors:
        """Copy to the device.

        Raises:
            ValueError: types, shapes or strides are not those that it was compiled for.
        """
        placed = super().place(inputs)
        if _forms(placed) != self._forms:
            raise ValueError(f"the package takes {self._forms} (type, shape, strides), not {_forms(placed)}")
        return placed


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
    surroundings = Surroundings(placement, graph.inputs)
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
        evidence = Evidence.read(told)
    return Packaged(surroundings, aoti_load_package(str(path), device_index=index), made, evidence, forms)


def _forms(inputs: Tensors) -> list[list[Any]]:
    return [[str(one.dtype), list(one.shape), list(one.stride())] for one in inputs]
