"""PyTorch's own engines: types of weights, products and answers, and what a copy of a network shares with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hardware_specs import precision
from served_networks import GRAPHS, answers_of, block, convolutions, least_snr_db, linear, placement
from torch import Tensor, nn

from hardware.base import PrecisionUnsupportedError
from hardware.engines.graph import Graph
from hardware.engines.native.eager import Eager
from hardware.engines.native.network import FLOATING, converted
from hardware.engines.native.products import Product, Products, products_of
from hardware.precision.evidence import check_evidence

HOST = torch.device("cpu")
TYPES = {
    "fp32": ("float32", "float32"),
    "fp16": ("float32", "float16"),
    "bf16": ("float32", "bfloat16"),
    "fp16_true": ("float16", "float16"),
    "bf16_true": ("bfloat16", "bfloat16"),
    "w32a16": ("float32", "float16"),
}
"""Of weights and of products."""


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_weights_products_and_answers_have_their_types(name: str, graph: Callable[[], Graph], tmp_path: Path) -> None:
    served = graph()
    weights, products = TYPES[name]
    compiled = Eager({}).compile(served, placement(tmp_path, name))
    assert (compiled.evidence.weights, compiled.evidence.compute) == ((weights,), (products,))
    check_evidence(compiled.evidence.told(), precision(name))
    found = compiled.complete(served.inputs)
    # The block ends in a sum with a float32 stream, the convolutions in a product.
    last = products if graph is convolutions or name.endswith("_true") else "float32"
    assert {str(one.dtype) for one in found} == {f"torch.{last}"}
    noise_db = least_snr_db(found, answers_of(served))
    assert noise_db > precision(name).least_snr_db
    if products != "float32":
        assert noise_db < 90, "answers of narrow products are not as near as float32's"


def test_tf32_is_refused_where_there_is_none(tmp_path: Path) -> None:
    assert "tf32" in FLOATING
    with pytest.raises(PrecisionUnsupportedError, match="matmul_mantissa_bits: expected 10, found 23"):
        Eager({}).compile(linear(), placement(tmp_path, "tf32"))


def test_quantised_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="does not quantise to int8"):
        Eager({}).compile(linear(), placement(tmp_path, "int8"))


class NarrowInside(nn.Module):
    def forward(self, given: Tensor) -> tuple[Tensor]:
        return ((given.bfloat16() @ given.bfloat16().T).float(),)


def test_a_network_that_multiplies_in_a_narrower_type_by_itself_is_found_out(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(4, 4), NarrowInside()).eval()
    graph = Graph(network=network, inputs=(torch.randn(2, 4),), input_names=("in",), output_names=("out",))
    evidence = Eager({}).compile(graph, placement(tmp_path, "fp32")).evidence
    assert evidence.compute == ("bfloat16", "float32")
    with pytest.raises(PrecisionUnsupportedError, match="compute: expected float32, found bfloat16, float32"):
        check_evidence(evidence.told(), precision("fp32"))


def test_a_copy_on_the_same_device_in_the_same_type_holds_no_second_weights() -> None:
    network = convolutions().network
    copy = converted(network, HOST, torch.float32)
    pairs = list(zip(network.parameters(), copy.parameters(), strict=True))
    assert pairs and all(ours is not theirs and ours.data_ptr() == theirs.data_ptr() for ours, theirs in pairs)
    buffers = [(a, b) for a, b in zip(network.buffers(), copy.buffers(), strict=True) if a.numel()]
    assert buffers and all(ours.data_ptr() != theirs.data_ptr() for ours, theirs in buffers)
    copy.features[1].running_mean.fill_(7)  # type: ignore[union-attr, operator]
    assert not (network.features[1].running_mean == 7).any()  # type: ignore[union-attr, operator]


def test_a_copy_in_another_type_leaves_the_original_and_ties_alone() -> None:
    network = nn.ModuleDict({"read": nn.Embedding(5, 4), "write": nn.Linear(4, 5, bias=False)})
    network["write"].weight = network["read"].weight
    network.register_buffer("places", torch.arange(4))
    network.register_buffer("scale", torch.ones(4))
    copy = converted(network, HOST, torch.bfloat16)
    assert copy["write"].weight is copy["read"].weight  # type: ignore[index]
    types = {name: one.dtype for name, one in copy.state_dict().items()}
    assert types["read.weight"] == types["scale"] == torch.bfloat16 and types["places"] == torch.int64
    assert {one.dtype for one in network.parameters()} == {torch.float32}


def test_rotary_frequencies_keep_their_type() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(hidden_size=64, num_attention_heads=2, max_position_embeddings=4096)
    rotary = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
    places, hidden = torch.tensor([[4000]]), torch.zeros(1, 1, 64)
    wanted = torch.cat(rotary(hidden, places), dim=-1)
    kept = torch.cat(converted(rotary, HOST, torch.bfloat16)(hidden, places), dim=-1)
    rounded = torch.cat(rotary.to(torch.bfloat16)(hidden, places), dim=-1)
    assert torch.equal(kept, wanted) and (rounded - wanted).abs().max() > 0.5


def test_integers_are_placed_as_they_are(tmp_path: Path) -> None:
    graph = block()
    compiled = Eager({}).compile(graph, placement(tmp_path, "bf16_true"))
    assert [one.dtype for one in compiled.place(graph.inputs)] == [torch.int64, torch.int64]
    (placed,) = Eager({}).compile(linear(), placement(tmp_path, "bf16_true")).place(linear().inputs)
    assert placed.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="zip"):
        compiled.place(graph.inputs[:1])


def test_every_request_has_the_strides_that_were_compiled_for(tmp_path: Path) -> None:
    graph = convolutions()
    (image,) = graph.inputs
    graph = replace(graph, inputs=(image.contiguous(memory_format=torch.channels_last),))
    compiled = Eager({}).compile(graph, placement(tmp_path, "fp32"))
    (placed,) = compiled.place((image,))
    assert image.is_contiguous() and placed.stride() == graph.inputs[0].stride() != image.stride()
    assert torch.equal(placed, image)
    assert compiled.place(graph.inputs)[0].data_ptr() == graph.inputs[0].data_ptr(), "nothing is copied without need"
    repeated = torch.ones(1, 3, 1, 1).expand(4, 3, 16, 16)
    expanded = Eager({}).compile(replace(graph, inputs=(repeated,)), placement(tmp_path, "fp32"))
    assert torch.equal(expanded.place((repeated,))[0], repeated) and expanded.place((repeated,))[0].is_contiguous()


def test_products_are_counted_by_hand() -> None:
    layer, picture = nn.Linear(8, 4), torch.randn(2, 3, 5, 5)
    convolution = nn.Conv2d(3, 6, 3)
    assert products_of(lambda: layer(torch.randn(3, 8))).found == [Product("float32", "float32", 2 * 3 * 8 * 4)]
    assert products_of(lambda: convolution(picture)).found == [
        Product("float32", "float32", 2 * 2 * 3 * 3 * 6 * 3 * 3 * 3)
    ]
    heads = torch.randn(2, 4, 6, 8)
    attended = products_of(lambda: nn.functional.scaled_dot_product_attention(heads, heads, heads)).found
    assert sum(one.flops for one in attended) == 2 * (2 * 2 * 4 * 6 * 6 * 8)


def test_products_of_integers() -> None:
    left = torch.randint(-3, 3, (32, 16), dtype=torch.int8)
    right = torch.randint(-3, 3, (16, 8), dtype=torch.int8)
    narrow = products_of(lambda: torch._int_mm(left, right))
    assert narrow.found == [Product("int8", "int8", 2 * 32 * 16 * 8)] and narrow.share("int8") == 1
    wide = products_of(lambda: left.int() @ right.int())
    assert wide.evidence().compute == () and wide.share("int8") == 0, "32-bit products are no int8"
    assert products_of(lambda: None).share("int8") == 0


def test_a_graph_and_a_run_have_the_same_products() -> None:
    graph = block()
    ran = products_of(lambda: graph.network(*graph.inputs))
    with torch.no_grad():
        traced = torch.export.export(graph.network, graph.inputs).run_decompositions()
    read = Products()
    read.add_graph(traced.graph)
    assert len(ran.found) == 5 and {*read.found[0][:2]} == {*ran.found[0][:2]} == {"float32"}
    assert sum(one.flops for one in read.found) == sum(one.flops for one in ran.found), "attention is two in the graph"
