"""torchao: which products are quantised, by their share of the work, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hardware_specs import precision
from served_networks import TOKENS, WIDTH, answers_of, block, convolutions, least_snr_db, placement
from torch import nn

pytest.importorskip("torchao")

from hardware.base import PrecisionUnsupportedError
from hardware.engines.graph import Graph
from hardware.engines.native.torchao import Torchao
from hardware.precision.evidence import check_evidence

SMALL = {"group_size": 32}


@pytest.mark.parametrize(("name", "kept"), [("int8", ("float32", "int8")), ("int4", ("float32", "int4"))])
def test_linear_layers_are_quantised(name: str, kept: tuple[str, ...], tmp_path: Path) -> None:
    graph = block()
    compiled = Torchao(SMALL).compile(graph, placement(tmp_path, name))
    evidence = compiled.evidence
    check_evidence(evidence.told(), precision(name))
    assert evidence.source == "graph" and evidence.weights == kept
    assert evidence.compute == (("float32", "int8") if name == "int8" else ("float32",))
    # Per token: 12 width^2 of layers, 2 tokens x width of attention.
    share = 12 * WIDTH**2 / (12 * WIDTH**2 + 2 * TOKENS * WIDTH)
    assert f"{share:.1%} of the FLOPs with weights in {name}" in evidence.detail
    found = compiled.complete(graph.inputs)
    noise_db = least_snr_db(found, answers_of(graph))
    assert precision(name).least_snr_db < noise_db < 70, "quantised, and not float32 under another name"
    assert {one.dtype for one in found} == {torch.float32}
    assert compiled.made.compile_s is None and compiled.made.export_s
    assert {one.dtype for one in graph.network.parameters()} == {torch.float32}
    assert all(type(one) is nn.Parameter for one in graph.network.parameters()), "the graph's own network is as it was"


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_a_convolutional_network_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PrecisionUnsupportedError, match=rf"0% of this network's FLOPs in {name}.*onnxruntime"):
        Torchao(SMALL).compile(convolutions(), placement(tmp_path, name))


def test_a_mixed_network_is_refused_below_half_of_its_work(tmp_path: Path) -> None:
    """A convolution of 2 x 9 x 64 x 3 x 8 x 8 = 221,184 FLOPs a row, and a layer of 2 x 4096 x width."""

    class Mixed(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 64, 3, padding=1), nn.Linear(64 * 64, width)

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.last(self.first(image).flatten(1)),)

    def compiled(width: int) -> Any:
        graph = Graph(
            network=Mixed(width).eval(), inputs=(torch.randn(2, 3, 8, 8),), input_names=("i",), output_names=("o",)
        )
        return Torchao({}).compile(graph, placement(tmp_path, "int8"))

    assert 2 * 4096 * 26 < 221_184 < 2 * 4096 * 28
    with pytest.raises(PrecisionUnsupportedError, match="49% of this network's FLOPs"):
        compiled(26)
    assert "50.9% of the FLOPs" in compiled(28).evidence.detail


def test_layers_that_the_kernels_do_not_take_stay_as_they_are(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 10), nn.Linear(10, 16)).eval()

    class Tupled(nn.Module):
        def forward(self, given: torch.Tensor) -> tuple[torch.Tensor]:
            return (given,)

    graph = Graph(
        network=nn.Sequential(network, Tupled()), inputs=(torch.randn(2, 64),), input_names=("i",), output_names=("o",)
    )
    evidence = Torchao(SMALL).compile(graph, placement(tmp_path, "int4")).evidence
    assert f"{64 * 64 / (64 * 64 + 64 * 10 + 10 * 16):.1%}" in evidence.detail
    with pytest.raises(PrecisionUnsupportedError, match="0% of this network's"):
        Torchao({}).compile(graph, placement(tmp_path, "int4"))  # groups of 128 do not fit into 64


def test_fp8_is_refused_without_a_chip_that_has_it(tmp_path: Path) -> None:
    with pytest.raises(PrecisionUnsupportedError, match=r"cpu has no products of 8-bit floating point.*8\.9"):
        Torchao({}).compile(block(), placement(tmp_path, "fp8"))


def test_settings_of_torch_stay(tmp_path: Path) -> None:
    from torch._inductor import config

    config.coordinate_descent_tuning = False
    before = dict(config.get_config_copy()), torch.get_float32_matmul_precision()
    for name in ("int8", "int4"):
        Torchao(SMALL).compile(block(), placement(tmp_path, name))
    assert (dict(config.get_config_copy()), torch.get_float32_matmul_precision()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compiled": "yes"}, "compiled=yes must be true or false"),
        ({"group_size": 48}, "group_size=48 is unknown; there are 32, 64, 128, 256"),
        ({"groupsize": 32}, r"groupsize is not an option here\. Did you mean group_size\?"),
    ],
)
def test_options_that_it_does_not_know_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Torchao(options)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["int8", "int4"])
def test_compiled_on_top(name: str, tmp_path: Path) -> None:
    graph = block()
    compiled = Torchao({**SMALL, "compiled": True}).compile(graph, placement(tmp_path, name))
    check_evidence(compiled.evidence.told(), precision(name))
    assert least_snr_db(compiled.complete(graph.inputs), answers_of(graph)) > precision(name).least_snr_db
    assert compiled.made.compile_s and compiled.made.coverage is not None
