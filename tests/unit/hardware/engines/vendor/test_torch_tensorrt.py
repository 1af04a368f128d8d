"""Torch-TensorRT: settings for each precision, what is left to PyTorch, what is refused, numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from fake_torch_tensorrt import FakeTorchTensorrt
from vendor_graphs import images_graph, plain_placement, precision_of, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import UnsupportedGraphError
from hardware.engines.vendor.from_torch.torch_tensorrt import TorchTensorrt
from hardware.precision.evidence import check_evidence

SETTINGS = {
    "device": torch.device("cpu"),
    "use_explicit_typing": True,
    "disable_tf32": True,
    "min_block_size": 5,
    "require_full_compilation": False,
    "optimization_level": 3,
    "cache_built_engines": False,
    "reuse_cached_engines": False,
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTorchTensorrt:
    made = FakeTorchTensorrt()
    monkeypatch.setitem(sys.modules, "torch_tensorrt", made)
    return made


def test_without_its_package_it_says_how_to_get_it() -> None:
    reason = TorchTensorrt({}).unavailable_reason()
    assert reason is not None and "torch_tensorrt is not installed: pip install torch-tensorrt" in reason


@pytest.mark.parametrize(
    ("precision", "least_db", "most_db", "compute"),
    [
        ("fp32", 110, 200, "float32"),
        ("fp16", 50, 90, "float16"),
        ("bf16", 30, 60, "bfloat16"),
        ("fp16_true", 50, 90, "float16"),
        ("bf16_true", 30, 60, "bfloat16"),
    ],
)
def test_types_are_the_programs_and_tf32_is_off(  # noqa: PLR0917 -- a table
    fake: FakeTorchTensorrt, tmp_path: Path, precision: str, least_db: float, most_db: float, compute: str
) -> None:
    graph = images_graph()
    compiled = TorchTensorrt({}).compile(graph, plain_placement(tmp_path, precision))
    assert fake.calls == [(True, SETTINGS), (False, SETTINGS)]
    assert least_db < signal_to_noise_db(graph, compiled) < most_db
    assert (compiled.evidence.compute, compiled.evidence.source) == ((compute,), "graph")
    assert compiled.evidence.detail == f"2 of 2 products in {compute}"
    check_evidence(compiled.evidence.told(), precision_of(precision))


@pytest.mark.parametrize(("precision", "least_db", "most_db"), [("fp16", 45, 90), ("bf16", 25, 60)])
def test_attention_is_cast_too(
    fake: FakeTorchTensorrt, tmp_path: Path, precision: str, least_db: float, most_db: float
) -> None:
    graph = tokens_graph()
    compiled = TorchTensorrt({}).compile(graph, plain_placement(tmp_path, precision))
    assert least_db < signal_to_noise_db(graph, compiled) < most_db
    assert [one.dtype for one in compiled.complete(graph.inputs)] == [torch.float32, torch.float32]
    check_evidence(compiled.evidence.told(), precision_of(precision))


def test_tf32_is_on_where_it_is_asked_for(
    fake: FakeTorchTensorrt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware.engines.native.network.check", lambda found, precision: None)  # the host has none
    compiled = TorchTensorrt({}).compile(images_graph(), plain_placement(tmp_path, "tf32"))
    assert fake.calls[-1] == (False, SETTINGS | {"disable_tf32": False})
    assert (compiled.evidence.compute, compiled.evidence.source) == (("tf32",), "asked")
    check_evidence(compiled.evidence.told(), precision_of("tf32"))


def test_what_is_left_to_pytorch_is_counted(fake: FakeTorchTensorrt, tmp_path: Path) -> None:
    graph = images_graph()
    whole = TorchTensorrt({}).compile(graph, plain_placement(tmp_path)).made
    assert whole.coverage is not None and whole.coverage.taken == whole.coverage.total > 3
    assert (whole.coverage.subgraphs, whole.coverage.fallbacks) == (1, {})
    fake.without_converter = "relu"
    compiled = TorchTensorrt({}).compile(graph, plain_placement(tmp_path))
    cut = compiled.made.coverage
    assert cut is not None and (cut.total, cut.taken, cut.subgraphs) == (whole.coverage.total, cut.total - 1, 3)
    assert [*cut.fallbacks] == ["aten.relu.default"]
    assert signal_to_noise_db(graph, compiled) > 110


def test_several_inputs_and_outputs_and_options(fake: FakeTorchTensorrt, tmp_path: Path) -> None:
    graph = tokens_graph()
    engine = TorchTensorrt({"level": 5, "min_block_size": 1, "require_full_compilation": True})
    assert signal_to_noise_db(graph, engine.compile(graph, plain_placement(tmp_path))) > 110
    given = {"optimization_level": 5, "min_block_size": 1, "require_full_compilation": True}
    assert fake.calls[-1] == (False, SETTINGS | given)
    with pytest.raises(ValueError, match="level=9 must be a whole number from 0 to 5"):
        TorchTensorrt({"level": 9})


@pytest.mark.parametrize("precision", ["int8", "w32a16"])
def test_a_precision_it_does_not_list_is_refused(fake: FakeTorchTensorrt, tmp_path: Path, precision: str) -> None:
    with pytest.raises(PrecisionUnsupportedError, match=f"does not serve in precision={precision}"):
        TorchTensorrt({}).compile(images_graph(), plain_placement(tmp_path, precision))
    assert fake.calls == []


def test_what_tensorrt_says_is_named(fake: FakeTorchTensorrt, tmp_path: Path) -> None:
    fake.refuses = True
    with pytest.raises(UnsupportedGraphError, match=r"torch_tensorrt cannot take the network: aten\.convolution"):
        TorchTensorrt({}).compile(images_graph(), plain_placement(tmp_path))
