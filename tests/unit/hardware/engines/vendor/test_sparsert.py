"""`compiler=sparsert`: what Moffett's compiler and runtime are given, on fakes that run the real graph."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from vendor_fakes import forget, put
from vendor_graphs import images_graph, others, placement_for, signal_to_noise_db

from hardware.base import PrecisionUnsupportedError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.sparsert import Sparsert
from hardware.precision.evidence import check_evidence


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield put("sparsert", "sparse_compile", monkeypatch)
    forget("sparsert")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    settings = tmp_path / "runtime.yaml"
    settings.write_text("chunk_size: 4\nmodel: resnet50\n")
    return {"runtime": str(settings)}


def test_what_is_missing_is_named(options: dict[str, Any]) -> None:
    packages = "the Python packages nn_compiler and sparse_compile and inference are not installed"
    assert Sparsert(options).unavailable_reason() == packages
    reason = Sparsert({}).unavailable_reason()
    assert reason is not None and reason.startswith(f"{packages} and compiler.options.runtime=None is no file")


@pytest.mark.parametrize(
    ("precision", "mixed", "asked", "rows", "least", "most"),
    [
        ("bf16", False, "Bf16", 0, 35, 70),
        ("int8", False, "Int8", 12, 20, 50),
        ("int8", True, "MixInt8Bf16", 12, 20, 50),
    ],
)
def test_what_is_asked_for_is_computed(
    *,
    precision: str,
    mixed: bool,
    asked: str,
    rows: int,
    least: float,
    most: float,
    tmp_path: Path,
    compiler: ModuleType,
    options: dict[str, Any],
) -> None:
    """With the calibration's rows where integers need them."""
    import inference

    graph = images_graph()
    placement = placement_for(graph, tmp_path / "made", precision, calibration=others(graph, 3))
    compiled = Sparsert({**options, "mixed": mixed, "cores": 2}).compile(graph, placement)
    assert compiler.calls == [(asked, {"images": "images"}, 4, 2, 5, rows), "dump", "infos"]
    settings = {"chunk_size": 4, "model": "resnet50", "model_path": "model", "input_name": ["images"]}
    assert inference.calls == [settings]
    assert least < signal_to_noise_db(graph, compiled) < most
    check_evidence(compiled.evidence.told(), placement.precision)
    assert compiled.evidence.detail == f"{asked}; 0.0% of the weights are zero"
    assert ("bfloat16" in compiled.evidence.compute) == (asked != "Int8")
    compiled.close()
    assert inference.calls[-1] == "destroy"


def test_it_says_how_sparse_the_weights_are(tmp_path: Path, compiler: ModuleType, options: dict[str, Any]) -> None:
    network = copy.deepcopy(images_graph().network)
    with torch.no_grad():
        network.get_submodule("linear").weight[:, ::2] = 0
    linear, convolution = 5 * 288, 8 * 27
    graph = replace(images_graph(), network=network)
    compiled = Sparsert(options).compile(graph, placement_for(images_graph(), tmp_path / "made", "bf16"))
    share = linear / 2 / (linear + convolution)
    assert compiled.evidence.detail == f"Bf16; {share:.1%} of the weights are zero"


def test_an_engine_that_is_kept_or_given_is_not_built_again(
    tmp_path: Path, compiler: ModuleType, options: dict[str, Any]
) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path / "made", "bf16")
    Sparsert(options).compile(graph, placement)
    compiler.calls.clear()
    kept = Sparsert(options).compile(graph, placement)
    given = Sparsert({**options, "engine_path": str(tmp_path / "made/model")}).compile(graph, placement)
    assert compiler.calls == []
    assert kept.made.compile_s is None and given.made.compile_s is None
    assert signal_to_noise_db(graph, kept) > 35 and signal_to_noise_db(graph, given) > 35


def test_what_it_cannot_do_is_refused(tmp_path: Path, compiler: ModuleType, options: dict[str, Any]) -> None:
    graph = images_graph()
    with pytest.raises(PrecisionUnsupportedError, match="precision=fp32, only in bf16, int8"):
        Sparsert(options).compile(graph, placement_for(graph, tmp_path / "made"))
    with pytest.raises(EngineBuildError, match="Sparsert: ranges of integers are chosen by calibration batches"):
        Sparsert(options).compile(graph, placement_for(graph, tmp_path / "made", "int8"))


def test_the_tool_is_named_in_its_errors(tmp_path: Path, compiler: ModuleType, options: dict[str, Any]) -> None:
    compiler.failure += ["NonZero is not supported", "2 nodes failed"]
    with pytest.raises(EngineBuildError, match="OnnxParser: NonZero is not supported; 2 nodes failed"):
        Sparsert(options).compile(images_graph(), placement_for(images_graph(), tmp_path / "made", "bf16"))
