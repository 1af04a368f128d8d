"""`compiler=executorch`: ExecuTorch with XNNPACK, as it runs on processors of servers, phones and boards."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import Engine
from hardware.engines.compiled import Compiled, Made
from hardware.engines.exported.executorch_nodes import coverage_of, evidence_of
from hardware.engines.exported.program import exported_program, unsupported
from hardware.engines.facts import read_facts, write_facts
from hardware.engines.graph import Graph, Placement, Tensors, calibration_batches, keep

if TYPE_CHECKING:
    from torch.export import ExportedProgram

NAME = "model.pte"
METHOD = "forward"


class Executorch(Engine):
    """The XNNPACK delegate, and the portable kernels for what it leaves."""

    known_options: ClassVar[tuple[str, ...]] = ("threads",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "int8")
    modules: ClassVar[tuple[str, ...]] = ("executorch", "torchao")
    packages: ClassVar[tuple[str, ...]] = ("executorch", "torchao")
    extra: ClassVar[str | None] = "executorch"

    def compile(self, graph: Graph, placement: Placement) -> ExecutorchCompiled:
        """Export, quantise for int8, and lower, unless an earlier run has.

        Raises:
            UnsupportedGraphError: an operator has no kernel.
        """
        folder = placement.folder / "pte"
        took: dict[str, float] = {}
        keep(folder, lambda draft: took.update(_make(graph, placement, draft)))
        evidence, coverage = read_facts(folder)
        made = Made(
            compile_s=took.get("compile_s"),
            compile_reason="an earlier run had lowered it",
            export_s=took.get("export_s"),
            export_reason="an earlier run had exported it",
            size_bytes=(folder / NAME).stat().st_size,
            coverage=coverage,
        )
        compiled = ExecutorchCompiled(folder / NAME, made, threads=int(self.options.get("threads") or 0))
        compiled.evidence = evidence
        return compiled


class ExecutorchCompiled(Compiled):
    """A program that reads and writes the host's memory; one thread runs it at a time."""

    def __init__(self, path: Path, made: Made, *, threads: int) -> None:
        """Load the program.

        Args:
            path: the program.
            made: what compiling took.
            threads: of XNNPACK's pool, which is the process's; 0: one for each core.
        """
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        if threads:
            portable_lib._unsafe_reset_threadpool(threads)
        self.made = made
        self._program = Runtime.get().load_program(path)
        self._method = self._program.load_method(METHOD)
        self._one_at_a_time = threading.Lock()

    def place(self, inputs: Tensors) -> list[Any]:
        """The same memory where it is contiguous, as the program takes it."""
        return [one.contiguous() for one in inputs]

    def run(self, placed: list[Any]) -> list[Any]:
        """Execute; outputs are memory of their own."""
        assert self._method is not None, "every program here has it"
        with self._one_at_a_time:
            return list(self._method.execute(placed))

    def fetch(self, outputs: list[Any]) -> Tensors:
        """The same memory."""
        return tuple(outputs)


def _make(graph: Graph, placement: Placement, folder: Path) -> dict[str, float]:
    """Write the program and what is known of it; returns the seconds of each step."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch._export.verifier import SpecViolationError

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began_s = time.perf_counter()
    program = exported_program(graph, "executorch")
    if placement.precision.name == "int8":
        program = _quantised(program, graph, placement)
    exported_s = time.perf_counter()
    try:
        edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        lowered = edge.exported_program()
        write_facts(folder, evidence_of(lowered), coverage_of(lowered))
        written = edge.to_executorch()
    except SpecViolationError as error:
        raise unsupported("executorch", error) from error
    except RuntimeError as error:
        if "out variant" not in str(error):
            raise
        raise unsupported("executorch", error) from error
    with (folder / NAME).open("wb") as file:
        written.write_to_file(file)
    return {"export_s": exported_s - began_s, "compile_s": time.perf_counter() - exported_s}


def _quantised(program: ExportedProgram, graph: Graph, placement: Placement) -> ExportedProgram:
    """Weights to int8 for each output channel, activations to int8 in the ranges of the calibration batches."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    with torch.no_grad():
        observed = prepare_pt2e(program.module(), quantizer)
        for batch in calibration_batches(graph, placement):
            observed(*batch)
        return exported_program(replace(graph, network=convert_pt2e(observed)), "executorch")
