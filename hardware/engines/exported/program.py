"""A network as `torch.export` captures it: what OpenVINO, torch-mlir and ExecuTorch begin with."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

from hardware.engines.base import UnsupportedGraphError
from hardware.engines.graph import Graph

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

OPERATOR = re.compile(r"\b(?:aten|prims|torchvision|stablehlo|quantized_decomposed)(?:\.|::)\w+(?:\.\w+)*")
"""How exporters and compilers name operators."""


def exported_program(graph: Graph, engine: str) -> ExportedProgram:
    """The graph for the shapes of its inputs; they and the weights are taken contiguous, as ExecuTorch needs them.

    Raises:
        UnsupportedGraphError: what the network does depends on the values of its inputs.
    """
    import torch
    from torch._dynamo.exc import TorchDynamoException
    from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    data_dependent = (GuardOnDataDependentSymNode, DataDependentOutputException, DynamicOutputShapeException)
    inputs = tuple(one.contiguous() for one in graph.inputs)
    try:
        with torch.no_grad():
            return torch.export.export(_contiguous(graph.network), inputs, strict=False)
    except (TorchDynamoException, *data_dependent) as error:
        raise unsupported(engine, error) from error


def _contiguous(network: nn.Module) -> nn.Module:
    """The network, or a copy of one whose weights lie channels last."""
    import torch

    if all(one.is_contiguous() for one in network.parameters()):
        return network
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)


def unsupported(engine: str, error: BaseException) -> UnsupportedGraphError:
    """An exporter's or compiler's refusal, with the operator and the line of its message that name it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    named = ((found[0], line) for line in lines if (found := OPERATOR.search(line)))
    node, line = next(named, (type(error).__name__, lines[0]))
    if line.endswith(":") and line != lines[-1]:  # it only announces what the next line says
        line = f"{line} {lines[lines.index(line) + 1]}"
    return UnsupportedGraphError(engine, node, line[:300])
