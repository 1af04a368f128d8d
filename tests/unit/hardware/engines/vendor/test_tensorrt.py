"""TensorRT: the calls it gets for each precision, what it is refused for, plans that are kept, numbers end to end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_tensorrt import FakeTensorrt
from vendor_graphs import (
    FakeStream,
    images_graph,
    mixed_up,
    others,
    placement_for,
    precision_of,
    signal_to_noise_db,
    tokens_graph,
)

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.engines.base import UnsupportedGraphError
from hardware.engines.graph import Graph
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.tensorrt import Tensorrt
from hardware.precision.evidence import check_evidence

STRONG = 2
"""1 << STRONGLY_TYPED."""


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> FakeTensorrt:
    fake = FakeTensorrt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "current_stream", FakeStream)
    return fake


def test_without_its_package_it_says_how_to_get_it() -> None:
    reason = Tensorrt({}).unavailable_reason()
    assert reason is not None and "tensorrt is not installed: pip install tensorrt" in reason


@pytest.mark.parametrize(
    ("precision", "flag", "least_db", "weights", "compute"),
    [
        ("fp32", "clear_flag", 110, "float32", "float32"),
        ("tf32", "set_flag", 110, "float32", "tf32"),
        ("fp16", "clear_flag", 55, "float32", "float16"),
        ("bf16", "clear_flag", 35, "float32", "bfloat16"),
        ("fp16_true", "clear_flag", 50, "float16", "float16"),
        ("bf16_true", "clear_flag", 30, "bfloat16", "bfloat16"),
    ],
)
@pytest.mark.parametrize("version", ["10.16.1", "11.4.0"])
def test_types_are_the_graphs_and_tf32_is_only_where_it_was_asked_for(  # noqa: PLR0917 -- a table
    trt: FakeTensorrt,
    tmp_path: Path,
    version: str,
    precision: str,
    flag: str,
    least_db: float,
    weights: str,
    compute: str,
) -> None:
    trt.__version__ = version
    graph = images_graph()
    compiled = Tensorrt({}).compile(graph, placement_for(graph, tmp_path, precision))
    assert trt.calls == [("create_network", STRONG), (flag, "TF32"), ("build", "DETAILED", 3)]
    assert signal_to_noise_db(graph, compiled) > least_db
    assert (compiled.evidence.weights, compiled.evidence.compute) == ((weights,), (compute,))
    assert compiled.evidence.source == "engine"
    check_evidence(compiled.evidence.told(), precision_of(precision))


@pytest.mark.parametrize(("precision", "least_db"), [("fp32", 110), ("fp16", 45), ("fp16_true", 40)])
def test_several_inputs_and_outputs_of_several_types(
    trt: FakeTensorrt, tmp_path: Path, precision: str, least_db: float
) -> None:
    graph = tokens_graph()
    compiled = Tensorrt({}).compile(graph, placement_for(graph, tmp_path, precision))
    assert signal_to_noise_db(graph, compiled) > least_db
    assert compiled.place(graph.inputs)[0].dtype == torch.int64


@pytest.mark.parametrize("make", [images_graph, tokens_graph])
def test_int8_is_what_multiplies(trt: FakeTensorrt, tmp_path: Path, make: Callable[[], Graph]) -> None:
    graph = make()
    with pytest.raises(ValueError, match="chosen by calibration batches, and there are none"):
        Tensorrt({}).compile(graph, placement_for(graph, tmp_path, "int8"))
    compiled = Tensorrt({}).compile(graph, placement_for(graph, tmp_path, "int8", calibration=others(graph)))
    assert 15 < signal_to_noise_db(graph, compiled) < 60
    assert compiled.evidence.compute == ("int8",) and compiled.evidence.source == "engine"
    check_evidence(compiled.evidence.told(), precision_of("int8"))


def test_options_reach_the_builder(trt: FakeTensorrt, tmp_path: Path) -> None:
    Tensorrt({"level": 5, "workspace_mib": 64}).compile(images_graph(), placement_for(images_graph(), tmp_path))
    assert ("limit", "WORKSPACE", 64 * 2**20) in trt.calls
    assert ("build", "DETAILED", 5) in trt.calls
    with pytest.raises(ValueError, match="level=6 must be a whole number from 0 to 5"):
        Tensorrt({"level": 6})


def test_what_the_parser_says_is_named(trt: FakeTensorrt, tmp_path: Path) -> None:
    trt.refuses = "no importer for this"
    with pytest.raises(
        UnsupportedGraphError, match="tensorrt cannot take the network: Einsum node_7: no importer for this"
    ):
        Tensorrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path))
    trt.refuses, trt.builds = None, False
    with pytest.raises(EngineBuildError, match="no way to run the graph"):
        Tensorrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path))
    assert not (tmp_path / "model.plan").exists()


def test_a_precision_it_does_not_list_is_refused(trt: FakeTensorrt, tmp_path: Path) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="does not serve in precision=int4"):
        Tensorrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path, "int4"))
    assert trt.calls == []


def test_a_version_without_strong_typing_is_refused(trt: FakeTensorrt, tmp_path: Path) -> None:
    trt.__version__ = "8.6.1"
    trt.NetworkDefinitionCreationFlag = type("Flags", (), {"EXPLICIT_BATCH": 0})  # type: ignore[assignment]
    with pytest.raises(HardwareUnavailableError, match=r"TensorRT 8\.6\.1 has no strongly typed networks"):
        Tensorrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path))


def test_a_plan_is_built_once(trt: FakeTensorrt, tmp_path: Path) -> None:
    graph = images_graph()
    first = Tensorrt({}).compile(graph, placement_for(graph, tmp_path, "fp16"))
    size = (tmp_path / "model.plan").stat().st_size
    assert first.made.compile_s is not None and first.made.export_s is not None and first.made.size_bytes == size
    assert first.made.coverage is not None and first.made.coverage.taken == first.made.coverage.total > 3
    trt.calls.clear()
    again = Tensorrt({}).compile(graph, placement_for(graph, tmp_path, "fp16"))
    assert trt.calls == []
    assert (again.made.compile_s, again.made.compile_reason) == (None, "an earlier run had built the engine")
    assert again.made.export_s is None and again.made.export_reason is not None
    assert signal_to_noise_db(graph, again) > 55


def test_a_plan_that_is_given_is_held_to_the_precision(trt: FakeTensorrt, tmp_path: Path) -> None:
    graph = images_graph()
    Tensorrt({}).compile(graph, placement_for(graph, tmp_path, "fp16"))
    given = Tensorrt({"engine_path": str(tmp_path / "model.plan")})
    trt.calls.clear()
    good = given.compile(graph, placement_for(graph, tmp_path / "none", "fp16"))
    assert trt.calls == [] and good.made.compile_s is None
    assert good.made.compile_reason == "compiler.engine_path gives an engine that was built before"
    check_evidence(good.evidence.told(), precision_of("fp16"))
    wrong = given.compile(graph, placement_for(graph, tmp_path / "none", "fp32"))
    with pytest.raises(PrecisionUnsupportedError, match="compute: expected float32, found float16"):
        check_evidence(wrong.evidence.told(), precision_of("fp32"))


def test_a_plan_of_something_else_is_refused(trt: FakeTensorrt, tmp_path: Path) -> None:
    Tensorrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path))
    given = Tensorrt({"engine_path": str(tmp_path / "model.plan")})
    with pytest.raises(ValueError, match="is of another network"):
        given.compile(tokens_graph(), placement_for(tokens_graph(), tmp_path / "none"))
    trt.loads = False
    with pytest.raises(EngineBuildError, match="another version built it, or for another GPU"):
        given.compile(images_graph(), placement_for(images_graph(), tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"compiler\.engine_path=nowhere is no file"):
        Tensorrt({"engine_path": "nowhere"}).compile(images_graph(), placement_for(images_graph(), tmp_path))


def test_a_plan_without_details_has_the_types_of_its_graph(trt: FakeTensorrt, tmp_path: Path) -> None:
    trt.detailed = False
    compiled = Tensorrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path, "fp16"))
    assert (compiled.evidence.compute, compiled.evidence.source) == (("float16",), "graph")


def test_an_engine_that_does_not_start_is_an_error(
    trt: FakeTensorrt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = images_graph()
    compiled: Any = Tensorrt({}).compile(graph, placement_for(graph, tmp_path))
    monkeypatch.setattr(compiled._context, "execute_async_v3", lambda stream: False)
    with pytest.raises(RuntimeError, match="did not start"):
        compiled.complete(graph.inputs)


def test_requests_at_once_keep_their_own_buffers(
    trt: FakeTensorrt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = images_graph()
    compiled: Any = Tensorrt({}).compile(graph, placement_for(graph, tmp_path))
    plain = compiled._context.set_tensor_address

    def slow(name: str, address: int) -> bool:
        time.sleep(0.001)  # another thread would come between two addresses
        return bool(plain(name, address))

    monkeypatch.setattr(compiled._context, "set_tensor_address", slow)
    assert mixed_up(graph, compiled) == 0
    monkeypatch.setattr(compiled, "_one_at_a_time", nullcontext())
    assert mixed_up(graph, compiled) > 0
