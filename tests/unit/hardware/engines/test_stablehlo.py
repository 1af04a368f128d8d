"""StableHLO through torch-mlir and IREE: small networks against eager, and what the module's text says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_samples import (
    ConvolutionSample,
    SingularValues,
    TransformerSample,
    ValueDependent,
    graph_of,
    placed,
    reference,
    sample,
    snr_db,
)
from torch import nn

from hardware.engines.base import UnsupportedGraphError
from hardware.engines.exported.stablehlo import Stablehlo, stablehlo_text
from hardware.engines.exported.stablehlo_text import coverage_of, evidence_of, trimmed

TEXT = """
module {
  func.func @main(%arg0: tensor<2x4xf32>) -> tensor<2x4xf32> {
    %cst = stablehlo.constant dense_resource<w> : tensor<4x4xf32>
    %0 = stablehlo.dot_general %arg0, %cst, contracting_dims = [1] x [0] : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
    %1 = stablehlo.convert %0 : (tensor<2x4xf32>) -> tensor<2x4xbf16>
    %2 = stablehlo.convolution(%1, %w) dim_numbers = [b, f, 0]x[o, i, 0]->[b, f, 0] {batch_group_count = 1 : i64} : (tensor<2x4x1xbf16>, tensor<4x4x1xbf16>) -> tensor<2x4x1xbf16>
    return %2 : tensor<2x4xf32>
  }
}
"""  # noqa: E501 -- as the compiler prints it


def test_types_are_read_from_the_text() -> None:
    found = evidence_of(TEXT)
    assert found.weights == found.compute == ("bfloat16", "float32")
    assert found.detail == "1 of 2 products in float32, 1 of 2 products in bfloat16"
    coverage = coverage_of(TEXT)
    assert (coverage.taken, coverage.total, coverage.subgraphs) == (3, 3, 1)
    assert evidence_of("module {}").compute == ()


def test_one_product_is_compiled_kept_and_run_by_several_threads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Single()
    graph = graph_of(network, (torch.randn(2, 8),))
    compiled = Stablehlo({}).compile(graph, placed(tmp_path))
    inputs = [(torch.randn(2, 8),) for _ in range(8)]
    alone = [network(*one)[0].detach() for one in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = [one[0] for one in pool.map(compiled.complete, inputs)]
    assert all(snr_db(found, wanted) > 100 for found, wanted in zip(together, alone, strict=True))
    outputs = compiled.run(compiled.place(inputs[0]))
    compiled.run(compiled.place(inputs[1]))
    assert snr_db(compiled.fetch(outputs)[0], alone[0]) > 100, "outputs are memory of their own"


class Shifted(torch.nn.Module):
    """Adds a buffer that is no part of its state, as position ids are."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([1.0, 2.0]), persistent=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (x + self.shift,)


def test_buffers_that_are_no_state_are_taken_along() -> None:
    network = Shifted()
    assert "stablehlo.add" in stablehlo_text(graph_of(network, (torch.zeros(1, 2),)))
    assert not network.state_dict(), "the network is as it was"


CONVOLUTION = (
    "%0 = stablehlo.convolution(%a, %w) dim_numbers = [b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1], window = {{"
    "stride = [2, 2], pad = [[1, {}], [1, {}]], rhs_dilate = [1, 1]}} {{batch_group_count = 1 : i64}} : "
    "(tensor<8x4x2x5xf32>, tensor<6x4x3x3xf32>) -> tensor<8x6x1x3xf32>"
)


def test_padding_that_no_window_reaches_goes() -> None:
    """Rows: 1 + 2 + 1 of which one window of 3 sees 3. Columns: 1 + 5 + 1, all seen by windows of 3 at 0, 2 and 4."""
    assert trimmed(CONVOLUTION.format(1, 1)) == CONVOLUTION.format(0, 1)
    assert trimmed(CONVOLUTION.format(0, 1)) == CONVOLUTION.format(0, 1)
    assert trimmed(TEXT) == TEXT


@pytest.mark.heavy
def test_a_convolution_to_one_pixel_compiles(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, image = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), Tupled()), torch.randn(2, 3, 2, 2)
    compiled = Stablehlo({}).compile(graph_of(network, (image,)), placed(tmp_path))
    assert snr_db(compiled.complete((image,))[0], network(image)[0].detach()) > 100


class Tupled(nn.Module):
    def forward(self, found: torch.Tensor) -> tuple[torch.Tensor]:
        return (found,)


class Single(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(8, 3)

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.only(rows),)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", [ConvolutionSample, TransformerSample])
def test_float32_is_eager_but_for_rounding(kind: Any, tmp_path: Path) -> None:
    graph = sample(kind)
    compiled = Stablehlo({}).compile(graph, placed(tmp_path))
    assert snr_db(compiled.complete(graph.inputs)[0], reference(graph)) > 100
    assert compiled.evidence.detail == f"{kind.products} of {kind.products} products in float32"
    made = compiled.made
    assert made.export_s is not None and made.compile_s is not None and made.export_s > 0 < made.compile_s
    assert made.size_bytes == next(tmp_path.glob("iree-*/model.vmfb")).stat().st_size
    again = Stablehlo({}).compile(graph, placed(tmp_path))
    assert again.made.compile_s is None and again.made.compile_reason == "an earlier run had compiled it"
    assert again.evidence == compiled.evidence and again.made.coverage == made.coverage


@pytest.mark.parametrize(
    ("network", "node"), [(SingularValues(), "torch.aten._linalg_svd"), (ValueDependent(), "GuardOnDataDependent")]
)
def test_a_network_that_cannot_be_lowered_is_named(network: Any, node: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGraphError, match=f"stablehlo cannot take the network: {node}"):
        Stablehlo({}).compile(graph_of(network, (torch.ones(4, 4),)), placed(tmp_path))
    assert not list(tmp_path.glob("iree-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_backends": "cuda"}, "target_backends=cuda is unknown; there are llvm-cpu, vmvx"),
        ({"opt_level": "O9"}, "opt_level=O9 is unknown"),
        ({"target": "host"}, "Did you mean target_cpu"),
    ],
)
def test_options_that_are_not_known(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stablehlo(options)
