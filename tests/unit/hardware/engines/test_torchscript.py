"""TorchScript: frozen graphs answer as the network does, and why there is no mixed precision."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hardware_specs import precision
from served_networks import GRAPHS, answers_of, block, least_snr_db, linear, placement

from hardware.base import PrecisionUnsupportedError
from hardware.engines.graph import Graph
from hardware.engines.native.torchscript import Torchscript, coverage_of
from hardware.precision.evidence import check_evidence

EXPECTED = {"fp32": "float32", "fp16_true": "float16", "bf16_true": "bfloat16"}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_answers_are_the_networks(name: str, graph: Callable[[], Graph], tmp_path: Path) -> None:
    served = graph()
    before = [one.clone() for one in served.network.state_dict().values()]
    compiled = Torchscript({}).compile(served, placement(tmp_path, name))
    check_evidence(compiled.evidence.told(), precision(name))
    found = compiled.complete(served.inputs)
    assert {str(one.dtype) for one in found} == {f"torch.{EXPECTED[name]}"}
    assert least_snr_db(found, answers_of(served)) > precision(name).least_snr_db
    assert compiled.made.export_s and compiled.made.compile_s
    coverage = compiled.made.coverage
    assert coverage is not None and coverage.taken == coverage.total > 5 and coverage.subgraphs == 1
    after = served.network.state_dict().values()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_mixed_precision_is_not_offered_as_freezing_narrows_the_weights() -> None:
    assert not {"bf16", "fp16", "w32a16"} & {*Torchscript.precisions}
    graph = block()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = torch.jit.freeze(torch.jit.trace(graph.network, graph.inputs, check_trace=False))
    constants = [
        node for node in frozen.graph.nodes() if node.kind() == "prim::Constant" and node.hasAttribute("value")
    ]
    tensors = [node.t("value") for node in constants if node.kindOf("value") == "t"]
    matrices = [one for one in tensors if one.shape in ((256, 64), (64, 256))]
    assert len(matrices) == 2 and {one.dtype for one in matrices} == {torch.bfloat16}


def test_tf32_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="matmul_mantissa_bits"):
        Torchscript({}).compile(linear(), placement(tmp_path, "tf32"))


def test_nodes_left_to_python_are_told() -> None:
    @torch.jit.ignore
    def doubled(given: torch.Tensor) -> torch.Tensor:
        return given * 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        @torch.jit.script
        def call(given: torch.Tensor) -> torch.Tensor:
            return doubled(given.relu())

    coverage = coverage_of(call)
    assert (coverage.taken, coverage.total) == (1, 2)
    assert coverage.fallbacks == {"prim::PythonOp": "a Python function, which the interpreter calls"}
