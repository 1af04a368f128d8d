"""A network as an ONNX file, by torch's exporter: what every engine that reads ONNX begins with."""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hardware.engines.exported.program import unsupported
from hardware.engines.graph import Graph, Placement, keep

OPSET = 18
"""Version of the operators: what engines of 2023 and later read."""
LARGE_BYTES = 2**30
"""Of weights, from which they lie beside the model: protobuf ends at 2 GiB."""
NAME = "model.onnx"


class Exported(NamedTuple):
    """A model file, and what writing it took."""

    path: Path
    seconds: float | None
    """None where an earlier run had written it."""
    reason: str | None


def onnx_file(graph: Graph, placement: Placement) -> Exported:
    """The graph with the shapes of its inputs, in the types of its network; kept in the placement's folder.

    Raises:
        UnsupportedGraphError: ONNX has no such operator, or the network does not export.
    """
    folder = placement.folder / "onnx"
    began_s = time.perf_counter()
    if keep(folder, lambda draft: _export(graph, draft)):
        return Exported(folder / NAME, time.perf_counter() - began_s, None)
    return Exported(folder / NAME, None, "an earlier run had exported it")


def halved(graph: Graph) -> Graph:
    """The graph with float16 weights and float16 in the place of float32 inputs."""
    inputs = tuple(one.half() if one.is_floating_point() else one for one in graph.inputs)
    return replace(graph, network=copy.deepcopy(graph.network).half(), inputs=inputs)


def _export(graph: Graph, folder: Path) -> None:
    """Write the model into a folder of its own: large weights are a second file, which the first one names."""
    import torch

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with torch.inference_mode():
            program = torch.onnx.export(
                graph.network,
                graph.inputs,
                input_names=list(graph.input_names),
                output_names=list(graph.output_names),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise unsupported("ONNX", error) from error
    assert program is not None, "only the old exporter returns nothing"
    program.save(str(folder / NAME), external_data=is_large(graph))


def is_large(graph: Graph) -> bool:
    """Whether weights lie beside the model."""
    return sum(one.nbytes for one in (*graph.network.parameters(), *graph.network.buffers())) >= LARGE_BYTES


def size_of(path: Path) -> int:
    """Bytes of a model and of the files beside it."""
    return sum(one.stat().st_size for one in path.parent.iterdir() if one.is_file())
