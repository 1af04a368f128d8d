"""MIGraphX: how a program is compiled for each precision, what is refused, programs that are kept, numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_migraphx import FakeMigraphx
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

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import UnsupportedGraphError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.migraphx import Migraphx
from hardware.precision.evidence import check_evidence

EXACT = {"offload_copy": False, "fast_math": False, "exhaustive_tune": False}


@pytest.fixture
def migraphx(monkeypatch: pytest.MonkeyPatch) -> FakeMigraphx:
    fake = FakeMigraphx()
    monkeypatch.setitem(sys.modules, "migraphx", fake)
    monkeypatch.setattr(torch.cuda, "current_stream", FakeStream)
    return fake


def test_without_its_package_it_says_where_it_comes_from() -> None:
    reason = Migraphx({}).unavailable_reason()
    assert reason is not None and "migraphx is not installed: MIGraphX comes with ROCm" in reason


@pytest.mark.parametrize(
    ("precision", "least_db", "most_db", "weights", "compute"),
    [
        ("fp32", 110, 200, "float32", "float32"),
        ("fp16", 55, 90, "float32", "float16"),
        ("bf16", 35, 60, "float32", "bfloat16"),
        ("fp16_true", 50, 90, "float16", "float16"),
        ("bf16_true", 30, 60, "bfloat16", "bfloat16"),
        ("int8", 15, 60, "int8", "int8"),
    ],
)
def test_types_are_the_graphs_and_functions_exact(  # noqa: PLR0917 -- a table
    migraphx: FakeMigraphx, tmp_path: Path, precision: str, least_db: float, most_db: float, weights: str, compute: str
) -> None:
    graph = images_graph()
    compiled = Migraphx({}).compile(graph, placement_for(graph, tmp_path, precision, calibration=others(graph)))
    assert migraphx.calls == [("gpu", EXACT)]
    assert least_db < signal_to_noise_db(graph, compiled) < most_db
    assert (compiled.evidence.weights, compiled.evidence.compute) == ((weights,), (compute,))
    assert compiled.evidence.source == "graph"
    check_evidence(compiled.evidence.told(), precision_of(precision))


def test_outputs_are_in_the_graphs_order(migraphx: FakeMigraphx, tmp_path: Path) -> None:
    graph = tokens_graph()
    assert signal_to_noise_db(graph, Migraphx({}).compile(graph, placement_for(graph, tmp_path))) > 110


@pytest.mark.parametrize("name", ["fast_math", "exhaustive_tune"])
def test_options_reach_the_compiler(migraphx: FakeMigraphx, tmp_path: Path, name: str) -> None:
    graph = images_graph()
    Migraphx({name: True}).compile(graph, placement_for(graph, tmp_path))
    assert migraphx.calls == [("gpu", EXACT | {name: True})]
    with pytest.raises(ValueError, match=f"{name}=yes must be true or false"):
        Migraphx({name: "yes"})


@pytest.mark.parametrize("precision", ["tf32", "fp8"])
def test_a_precision_it_does_not_list_is_refused(migraphx: FakeMigraphx, tmp_path: Path, precision: str) -> None:
    graph = images_graph()
    with pytest.raises(PrecisionUnsupportedError, match=f"does not serve in precision={precision}"):
        Migraphx({}).compile(graph, placement_for(graph, tmp_path, precision))
    assert migraphx.calls == []


def test_what_it_says_is_named(migraphx: FakeMigraphx, tmp_path: Path) -> None:
    graph = images_graph()
    migraphx.fails = "no kernel"
    with pytest.raises(EngineBuildError, match="does not compile the graph: no kernel"):
        Migraphx({}).compile(graph, placement_for(graph, tmp_path))
    migraphx.refuses = "Unknown operator: Foo"
    with pytest.raises(UnsupportedGraphError, match="migraphx cannot take the network: its parser: Unknown operator"):
        Migraphx({}).compile(graph, placement_for(graph, tmp_path))
    assert not (tmp_path / "model.mxr").exists()


def test_a_program_is_compiled_once_and_may_be_given(migraphx: FakeMigraphx, tmp_path: Path) -> None:
    graph = images_graph()
    first = Migraphx({}).compile(graph, placement_for(graph, tmp_path))
    assert first.made.compile_s is not None and first.made.coverage is not None
    migraphx.calls.clear()
    kept = Migraphx({}).compile(graph, placement_for(graph, tmp_path))
    given: Any = Migraphx({"engine_path": str(tmp_path / "model.mxr")}).compile(
        graph, placement_for(graph, tmp_path / "none")
    )
    assert migraphx.calls == []
    assert (kept.made.compile_s, given.made.compile_s, given.evidence.source) == (None, None, "asked")
    assert min(signal_to_noise_db(graph, one) for one in (kept, given)) > 110


def test_another_programs_file_is_refused(migraphx: FakeMigraphx, tmp_path: Path) -> None:
    graph = images_graph()
    Migraphx({}).compile(graph, placement_for(graph, tmp_path))
    with pytest.raises(ValueError, match="is of another network"):
        Migraphx({"engine_path": str(tmp_path / "model.mxr")}).compile(
            tokens_graph(), placement_for(tokens_graph(), tmp_path / "none")
        )
    (tmp_path / "broken.mxr").write_bytes(b"?")
    with pytest.raises(EngineBuildError, match="cannot load"):
        Migraphx({"engine_path": str(tmp_path / "broken.mxr")}).compile(graph, placement_for(graph, tmp_path))


def test_requests_at_once_are_each_answered(migraphx: FakeMigraphx, tmp_path: Path) -> None:
    graph = images_graph()
    assert mixed_up(graph, Migraphx({}).compile(graph, placement_for(graph, tmp_path))) == 0
