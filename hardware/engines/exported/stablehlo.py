"""`compiler=stablehlo`: torch-mlir turns the network into StableHLO, IREE compiles that for the host's processor.

It stands in ByteMLPerf's row of ByteIR, whose compiler takes the same form. ByteIR's own runtime comes in no package
and is not verified here.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import Engine, UnsupportedGraphError
from hardware.engines.compiled import Compiled, Made
from hardware.engines.exported.host_arrays import to_arrays, to_tensors
from hardware.engines.exported.program import OPERATOR, exported_program, unsupported
from hardware.engines.exported.stablehlo_text import coverage_of, evidence_of, trimmed
from hardware.engines.facts import read_facts, write_facts
from hardware.engines.graph import Graph, Placement, Tensors, keep

if TYPE_CHECKING:
    from torch import nn

BACKENDS = ("llvm-cpu", "vmvx")
"""IREE's back-ends that run on the host; llvm-cpu writes machine code, vmvx is an interpreter."""
LEVELS = ("O0", "O1", "O2", "O3")
NAME = "model.vmfb"
REFUSED = re.compile(r"error: (?P<reason>.*)\n(?P<line>.*)")
"""What IREE says, and the line of the module that it says it of."""
UNKNOWN = re.compile(r'torch\.operator "(?P<node>[^"]+)"')


class Stablehlo(Engine):
    """torch-mlir and IREE, in float32."""

    known_options: ClassVar[tuple[str, ...]] = ("target_backends", "target_cpu", "opt_level", "threads")
    modules: ClassVar[tuple[str, ...]] = ("torch_mlir", "iree.compiler", "iree.runtime")
    packages: ClassVar[tuple[str, ...]] = ("torch-mlir", "iree-base-compiler", "iree-base-runtime")
    extra: ClassVar[str | None] = "stablehlo"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.backend = str(options.get("target_backends") or BACKENDS[0])
        self.target_cpu = str(options.get("target_cpu") or "host")
        self.level = str(options.get("opt_level") or "O2")
        for name, value, known in (("target_backends", self.backend, BACKENDS), ("opt_level", self.level, LEVELS)):
            if value not in known:
                raise ValueError(f"{name}={value} is unknown; there are {', '.join(known)}")

    def compile(self, graph: Graph, placement: Placement) -> StablehloCompiled:
        """Export and compile, unless an earlier run has, for this processor's instructions.

        Raises:
            UnsupportedGraphError: torch-mlir or IREE does not take an operator.
        """
        folder = placement.folder / f"iree-{_instructions()}"
        took: dict[str, float] = {}
        keep(folder, lambda draft: took.update(self._make(graph, draft)))
        evidence, coverage = read_facts(folder)
        made = Made(
            compile_s=took.get("compile_s"),
            compile_reason="an earlier run had compiled it",
            export_s=took.get("export_s"),
            export_reason="an earlier run had exported it",
            size_bytes=(folder / NAME).stat().st_size,
            coverage=coverage,
        )
        compiled = StablehloCompiled(folder / NAME, made, threads=int(self.options.get("threads") or 0))
        compiled.evidence = evidence
        return compiled

    def _make(self, graph: Graph, folder: Path) -> dict[str, float]:
        """Write the program and what is known of it; returns the seconds of each step."""
        from iree.compiler import CompilerToolError, compile_str

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        began_s = time.perf_counter()
        text = stablehlo_text(graph)
        exported_s = time.perf_counter()
        target = [f"--iree-llvmcpu-target-cpu={self.target_cpu}"] if self.backend == "llvm-cpu" else []
        try:
            compile_str(
                trimmed(text),
                input_type="stablehlo",
                target_backends=[self.backend],
                output_file=str(folder / NAME),
                extra_args=[f"--iree-opt-level={self.level}", *target],
            )
        except CompilerToolError as error:
            refused = REFUSED.search(str(error))
            if refused is None:
                raise
            named = OPERATOR.search(refused["line"])
            raise UnsupportedGraphError("stablehlo", named[0] if named else "IREE", refused["reason"]) from error
        compiled_s = time.perf_counter()
        write_facts(folder, evidence_of(text), coverage_of(text))
        return {"export_s": exported_s - began_s, "compile_s": compiled_s - exported_s}


class StablehloCompiled(Compiled):
    """An IREE module whose inputs and outputs are buffers of its local device; one thread calls it at a time."""

    def __init__(self, path: Path, made: Made, *, threads: int) -> None:
        """Load the module.

        Args:
            path: the compiled program.
            made: what compiling took.
            threads: of IREE's pool, which is the process's; 0: one for each core.
        """
        from iree import runtime

        if threads:
            runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
        self.made = made
        config = runtime.Config("local-task")
        self._device = config.device
        self._module = runtime.load_vm_module(runtime.VmModule.mmap(config.vm_instance, str(path)), config)
        self._one_at_a_time = threading.Lock()

    def place(self, inputs: Tensors) -> list[Any]:
        """Copies in the device's buffers."""
        from iree import runtime

        return [runtime.asdevicearray(self._device, one) for one in to_arrays(inputs)]

    def run(self, placed: list[Any]) -> list[Any]:
        """Call the module; returns when it is done."""
        with self._one_at_a_time:
            outputs = self._module.main(*placed)
        return list(outputs) if isinstance(outputs, tuple | list) else [outputs]

    def fetch(self, outputs: list[Any]) -> Tensors:
        """The buffers' memory, which is the host's."""
        return to_tensors([one.to_host() for one in outputs])


def stablehlo_text(graph: Graph) -> str:
    """The network as a StableHLO module whose function is `main`, weights inside.

    Raises:
        UnsupportedGraphError: torch-mlir does not know an operator.
    """
    from torch_mlir import fx
    from torch_mlir.compiler_utils import TorchMlirCompilerError

    with _all_buffers_kept(graph.network):
        program = exported_program(graph, "stablehlo")
    try:
        return str(fx.export_and_import(program, output_type="stablehlo", func_name="main"))
    except TorchMlirCompilerError as error:
        unknown = UNKNOWN.search(str(fx.export_and_import(program, output_type="raw", func_name="main")))
        if unknown is None:
            raise unsupported("stablehlo", error) from error
        raise UnsupportedGraphError("stablehlo", unknown["node"], "torch-mlir does not lower it") from error


@contextmanager
def _all_buffers_kept(network: nn.Module) -> Iterator[None]:
    """Every buffer a persistent one for a while: torch-mlir looks in the state alone, where position ids are not."""
    left_out = [(module, set(module._non_persistent_buffers_set)) for module in network.modules()]
    for module, _ in left_out:
        module._non_persistent_buffers_set.clear()
    try:
        yield
    finally:
        for module, names in left_out:
            module._non_persistent_buffers_set.update(names)


def _instructions() -> str:
    """Digest of the processor's instruction sets: a program for one may not run on another of the same name."""
    import torch

    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return hashlib.sha256(repr(sorted(able.items())).encode()).hexdigest()[:12]
