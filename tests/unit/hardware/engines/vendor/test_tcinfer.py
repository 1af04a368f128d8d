"""`compiler=tcinfer`: how hx-convert and TcInfer are called, on fakes that run the real graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from vendor_fakes import forget, put, tool
from vendor_graphs import images_graph, placement_for, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.tcinfer import Tcinfer
from hardware.precision.evidence import check_evidence

CONVERT = 'echo "$@" > "$0.calls"\nwhile [ "$1" != "--output" ]; do shift; done\ncp "$3" "$2"'
"""The ONNX file is its own engine."""


@pytest.fixture
def hexaflake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "tools").mkdir()
    tool(tmp_path / "tools", "hx-convert", CONVERT, monkeypatch)
    yield put("tcinfer", "tcinfer", monkeypatch)
    forget("tcinfer")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package = "the Python package tcinfer is not installed"
    assert Tcinfer({}).unavailable_reason() == f"{package} and there is no command hx-convert on PATH"
    assert Tcinfer({"engine_path": "one.ngf"}).unavailable_reason() == package


@pytest.mark.parametrize("latency", [False, True])
def test_what_is_asked_for_is_computed(latency: bool, tmp_path: Path, hexaflake: ModuleType) -> None:
    graph, placement = tokens_graph(), placement_for(tokens_graph(), tmp_path / "made")
    compiled = Tcinfer({"latency": latency}).compile(graph, placement)
    called = (tmp_path / "tools/hx-convert.calls").read_text().split()
    assert called[:5] == ["compile", "--target", "aigpu", "--model-format", "onnx"]
    assert Path(called[7]).name == "model.onnx" and Path(called[6]).name.startswith(".engine.ngf.draft")
    assert called[8:] == ["--input-shapes", "tokens:[2,7],scale:[2,1,1]", *(["--latency"] if latency else [])]
    assert hexaflake.calls == [("TcInfer", False, 1, [0])]
    assert signal_to_noise_db(graph, compiled) > 110
    check_evidence(compiled.evidence.told(), placement.precision)


def test_bfloat16_needs_an_engine_that_was_built_in_it(tmp_path: Path, hexaflake: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path / "made", "bf16")
    with pytest.raises(PrecisionUnsupportedError, match="hx-convert has no public option for bfloat16: give an engine"):
        Tcinfer({}).compile(graph, placement)
    hexaflake.as_bits = True
    given = Tcinfer({"engine_path": str(tmp_path / "made/onnx/model.onnx")}).compile(graph, placement)
    check_evidence(given.evidence.told(), placement.precision)
    assert given.complete(graph.inputs)[0].dtype == torch.bfloat16
    assert 35 < signal_to_noise_db(graph, given) < 70


def test_an_engine_that_is_kept_is_not_built_again(tmp_path: Path, hexaflake: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path / "made")
    Tcinfer({}).compile(graph, placement)
    (tmp_path / "tools/hx-convert").unlink()
    kept = Tcinfer({}).compile(graph, placement)
    assert kept.made.compile_s is None and signal_to_noise_db(graph, kept) > 110


def test_outputs_of_a_request_are_its_own(tmp_path: Path, hexaflake: ModuleType) -> None:
    graph = images_graph()
    compiled = Tcinfer({}).compile(graph, placement_for(graph, tmp_path / "made"))
    first = compiled.complete(graph.inputs)[0]
    kept = first.clone()
    compiled.complete((torch.zeros_like(graph.inputs[0]),))
    assert torch.equal(first, kept)


def test_other_precisions_and_errors_are_told(
    tmp_path: Path, hexaflake: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="precision=fp16, only in fp32, bf16"):
        Tcinfer({}).compile(images_graph(), placement_for(images_graph(), tmp_path / "made", "fp16"))
    for body, said in (("echo no operator NonZero; exit 3", "ended with 3: no operator"), ("true", "wrote no .engine")):
        tool(tmp_path / "tools", "hx-convert", body, monkeypatch)
        with pytest.raises(EngineBuildError, match=f"hx-convert {said}"):
            Tcinfer({}).compile(images_graph(), placement_for(images_graph(), tmp_path / "made"))
