"""`compiler=migraphx`: AMD's MIGraphX.

The types are written into the ONNX graph, so that neither `quantize_fp16`, which would narrow everything, nor
`quantize_int8` is asked for; MIGraphX reads QuantizeLinear and DequantizeLinear. Its faster, less exact functions
(`fast_math`, its default) are off unless they are asked for. Buffers are torch's, on the GPU: `offload_copy=False`.

Sources: rocm.docs.amd.com/projects/AMDMIGraphX, Python API reference (docs-6.4, 2.15; read 2026-11);
ROCm/AMDMIGraphX src/py/migraphx_py.cpp (parse_onnx, compile, run_async, argument_from_pointer, save, load) and
examples/diffusion/python_stable_diffusion_21 (`main:#output_0`, `ihipStream_t`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import EXISTING, UnsupportedGraphError
from hardware.engines.graph import Graph, Placement, Tensors
from hardware.engines.vendor.from_onnx import FLOATS, Built, EngineBuildError, FromOnnx, OnDevice

if TYPE_CHECKING:
    import torch

TYPES = {
    "float_type": "float32",
    "half_type": "float16",
    "bf16_type": "bfloat16",
    "int64_type": "int64",
    "int32_type": "int32",
    "int8_type": "int8",
    "uint8_type": "uint8",
    "bool_type": "bool",
}
"""Of `shape.type_string()` to torch's names."""
STREAM = "ihipStream_t"
"""What MIGraphX calls a HIP stream."""


class Migraphx(FromOnnx):
    """A compiled program, for exactly this GPU and version."""

    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "fast_math", "exhaustive_tune")
    precisions: ClassVar[tuple[str, ...]] = (*FLOATS, "int8")
    modules: ClassVar[tuple[str, ...]] = ("migraphx", "onnx", "onnxscript", "onnxruntime")
    packages: ClassVar[tuple[str, ...]] = ("migraphx", "onnx", "onnxscript", "onnxruntime")
    obtained: ClassVar[str | None] = (
        "MIGraphX comes with ROCm (apt install migraphx; add /opt/rocm/lib to PYTHONPATH), the others from PyPI"
    )
    engine_file: ClassVar[str] = "model.mxr"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        for name in ("fast_math", "exhaustive_tune"):
            if not isinstance(options.get(name, False), bool):
                raise ValueError(f"{name}={options[name]} must be true or false")

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Parse, compile for the GPU, save."""
        import migraphx

        try:
            program = migraphx.parse_onnx(str(model))
        except RuntimeError as error:
            raise UnsupportedGraphError("migraphx", "its parser", str(error)) from error
        try:
            program.compile(
                migraphx.get_target("gpu"),
                offload_copy=False,
                fast_math=self.options.get("fast_math", False),
                exhaustive_tune=self.options.get("exhaustive_tune", False),
            )
        except RuntimeError as error:
            raise EngineBuildError(f"MIGraphX does not compile the graph: {error}") from error
        migraphx.save(program, str(target))

    def load(self, built: Built, graph: Graph, placement: Placement) -> MigraphxProgram:
        """Load the compiled program."""
        import migraphx

        try:
            program = migraphx.load(str(built.path))
        except RuntimeError as error:
            raise EngineBuildError(f"MIGraphX cannot load {built.path}: {error}") from error
        return MigraphxProgram(built, program, graph, placement.device)


class MigraphxProgram(OnDevice):
    """A program that reads and writes torch's memory, in torch's current stream."""

    def __init__(self, built: Built, program: Any, graph: Graph, device: torch.device) -> None:
        import torch

        shapes = program.get_parameter_shapes()
        outputs = sorted((name for name in shapes if name not in graph.input_names), key=_number)
        wanted = {name: tuple(one.shape) for name, one in zip(graph.input_names, graph.inputs, strict=True)}
        found = {name: tuple(one.lens()) for name, one in shapes.items()}
        if len(outputs) != len(graph.output_names) or any(found.get(name) != wanted[name] for name in wanted):
            raise ValueError(f"{built.path} is of another network: its parameters are {found}")
        types = {name: getattr(torch, TYPES[one.type_string()]) for name, one in shapes.items()}
        super().__init__(built, device, [types[name] for name in graph.input_names])
        self._program, self._shapes, self._parameters = program, shapes, (*graph.input_names, *outputs)
        self._outputs = [(shapes[name].lens(), shapes[name].strides(), types[name]) for name in outputs]

    def submit(self, placed: Tensors) -> Tensors:
        """Start the program."""
        import migraphx
        import torch

        outputs = tuple(
            torch.empty_strided(lens, strides, dtype=dtype, device=self._device)
            for lens, strides, dtype in self._outputs
        )
        arguments = {
            name: migraphx.argument_from_pointer(self._shapes[name], buffer.data_ptr())
            for name, buffer in zip(self._parameters, (*placed, *outputs), strict=True)
        }
        self._program.run_async(arguments, torch.cuda.current_stream(self._device).cuda_stream, STREAM)
        return outputs


def _number(name: str) -> int:
    """Of an output: `main:#output_1`."""
    found = re.search(r"(\d+)$", name)
    return int(found[1]) if found else 0
