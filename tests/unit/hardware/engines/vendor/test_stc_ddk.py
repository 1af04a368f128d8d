"""`compiler=stc_ddk`: how the compiler's command is called, on a fake that runs the real graph."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from vendor_fakes import FAKES, forget, put, tool
from vendor_graphs import images_graph, placement_for, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.stc_ddk import StcDdk
from hardware.precision.evidence import check_evidence

SUPPORT = FAKES.parent / "support"


@pytest.fixture
def aie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    program = FAKES / "stc_ddk/stc_ddk/aic.py"
    paths = f"{SUPPORT}:{SUPPORT.parents[1]}"
    tools = tmp_path / "tools"
    tools.mkdir()
    tool(tools, "stc_ddk.stc_aic", f'PYTHONPATH="{paths}" exec {sys.executable} {program} "$@"', monkeypatch)
    monkeypatch.setenv("STC_CALLS", str(tools / "calls.json"))
    yield put("stc_ddk", "stc_ddk.stc_aie", monkeypatch)
    forget("stc_ddk")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package = "the Python package stc_ddk is not installed"
    assert StcDdk({}).unavailable_reason() == f"{package} and there is no command stc_ddk.stc_aic on PATH"
    assert StcDdk({"engine_path": "model"}).unavailable_reason() == package


def test_what_is_asked_for_is_computed(tmp_path: Path, aie: ModuleType) -> None:
    graph, placement = tokens_graph(), placement_for(tokens_graph(), tmp_path / "made", "fp16")
    compiled = StcDdk({"config": "tb.json"}).compile(graph, placement)
    called = json.loads((tmp_path / "tools/calls.json").read_text())
    assert Path(called.pop("--model")).name == "model.onnx"
    assert Path(called.pop("--outdir")).name.startswith(".model.draft")
    assert called == {
        "--input_names": "tokens,scale",
        "--input_shapes": "[2,7],[2,1,1]",
        "--input_dtypes": "INT64,FLOAT32",
        "--output_names": "hidden,mean",
        "--output_dtypes": "FLOAT32,FLOAT32",
        "--config": "tb.json",
    }
    assert 50 < signal_to_noise_db(graph, compiled) < 90
    check_evidence(compiled.evidence.told(), placement.precision)
    assert compiled.made.coverage is not None and compiled.made.coverage.taken == compiled.made.coverage.total
    compiled.close()
    assert len(aie.released) == 1


def test_what_the_host_must_run_is_told(tmp_path: Path, aie: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STC_LEAVES", "1")
    made = StcDdk({}).compile(images_graph(), placement_for(images_graph(), tmp_path / "made", "fp16")).made
    assert made.coverage is not None and made.coverage.taken == made.coverage.total - 1
    assert made.coverage.fallbacks == {"Gemm": "the compiler left it to the host"} and made.coverage.subgraphs == 2


def test_an_engine_that_is_kept_or_given_is_not_built_again(tmp_path: Path, aie: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path / "made", "fp16")
    first = StcDdk({}).compile(graph, placement)
    (tmp_path / "tools/stc_ddk.stc_aic").unlink()
    kept = StcDdk({}).compile(graph, placement)
    given = StcDdk({"engine_path": str(tmp_path / "made/model")}).compile(graph, placement)
    assert first.made.compile_s is not None and kept.made.compile_s is None and given.made.compile_s is None
    assert kept.made.coverage == first.made.coverage and given.made.coverage is None
    assert kept.made.size_bytes == given.made.size_bytes and kept.made.size_bytes
    assert signal_to_noise_db(graph, kept) > 50 and signal_to_noise_db(graph, given) > 50


def test_float32_is_refused(tmp_path: Path, aie: ModuleType) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="StcDdk does not serve in precision=fp32, only in fp16"):
        StcDdk({}).compile(images_graph(), placement_for(images_graph(), tmp_path / "made"))


@pytest.mark.parametrize(
    ("switch", "said"),
    [
        ("STC_FAILS", r"stc_ddk.stc_aic ended with 1: E: operator NonZero: no rule to cut the graph"),
        ("STC_LOSES", r"stc_ddk.stc_aic wrote model.json, but not lost.stcobj"),
    ],
)
def test_the_tool_is_named_in_its_errors(
    switch: str, said: str, tmp_path: Path, aie: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(switch, "1")
    with pytest.raises(EngineBuildError, match=said):
        StcDdk({}).compile(images_graph(), placement_for(images_graph(), tmp_path / "made", "fp16"))
    assert not (tmp_path / "made/model").exists()
    monkeypatch.delenv(switch)
    compiled = StcDdk({}).compile(images_graph(), placement_for(images_graph(), tmp_path / "made", "fp16"))
    assert compiled.made.compile_s is not None, "what a failure left behind is no obstacle"
