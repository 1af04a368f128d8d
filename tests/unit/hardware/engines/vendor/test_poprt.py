"""`compiler=poprt`: what PopRT is asked for, on a fake that runs the converted graph."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import torch
from vendor_fakes import forget, put
from vendor_graphs import images_graph, others, placement_for, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.poprt import Poprt
from hardware.precision.evidence import check_evidence


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    yield put("poprt", "poprt", monkeypatch)
    forget("poprt")


def test_without_its_package_it_says_so() -> None:
    assert Poprt({}).unavailable_reason() == "the Python package poprt is not installed"


@pytest.mark.parametrize(
    ("precision", "asked", "kind", "least", "most"),
    [("fp32", "fp32", torch.float32, 110, 999), ("fp16_true", "fp16", torch.float16, 45, 90)],
)
def test_what_is_asked_for_is_computed(
    *, precision: str, asked: str, kind: torch.dtype, least: float, most: float, tmp_path: Path, fake: ModuleType
) -> None:
    graph, placement = tokens_graph(), placement_for(tokens_graph(), tmp_path, precision)
    compiled = Poprt({}).compile(graph, placement)
    shapes = {"tokens": [2, 7], "scale": [2, 1, 1]}
    assert fake.calls == [
        ("Converter", shapes, asked),
        ("compile", ["hidden", "mean"], "ipu21", "float", 0),
        ("Runner",),
    ]
    assert least < signal_to_noise_db(graph, compiled) < most
    assert {one.dtype for one in compiled.complete(graph.inputs)} == {kind}
    check_evidence(compiled.evidence.told(), placement.precision)
    assert compiled.evidence.detail == f"converted to {asked}, sums in float"


def test_an_engine_that_is_kept_or_given_is_not_built_again(tmp_path: Path, fake: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path)
    Poprt({}).compile(graph, placement)
    fake.calls.clear()
    kept = Poprt({}).compile(graph, placement)
    given = Poprt({"engine_path": str(tmp_path / "executable.popef")}).compile(graph, placement)
    assert fake.calls == [("Runner",), ("Runner",)]
    assert kept.made.compile_s is None and given.made.compile_s is None
    assert signal_to_noise_db(graph, kept) > 110 and signal_to_noise_db(graph, given) > 110


def test_half_sums_are_no_float32(tmp_path: Path, fake: ModuleType) -> None:
    graph = images_graph()
    half = Poprt({"partials": "half", "compiler_options": {"num_io_tiles": 32}})
    with pytest.raises(PrecisionUnsupportedError, match="partials=half keeps sums of products in float16"):
        half.compile(graph, placement_for(graph, tmp_path))
    compiled = half.compile(graph, placement_for(graph, tmp_path, "fp16_true"))
    assert fake.calls[1] == ("compile", ["scores"], "ipu21", "half", 32)
    assert compiled.evidence.detail.endswith("sums in half")


def test_what_it_cannot_do_is_refused(tmp_path: Path, fake: ModuleType) -> None:
    placement = placement_for(images_graph(), tmp_path, "fp16")
    with pytest.raises(PrecisionUnsupportedError, match="precision=fp16, only in fp32, fp16_true"):
        Poprt({}).compile(images_graph(), placement)
    with pytest.raises(ValueError, match="partials=single is unknown; there are float, half"):
        Poprt({"partials": "single"})
    unknown = Poprt({"compiler_options": {"num_iotiles": 32}})
    with pytest.raises(EngineBuildError, match=r"compiler_options.num_iotiles is none of PopRT's CompilerOptions"):
        unknown.compile(images_graph(), placement_for(images_graph(), tmp_path))


def test_the_tool_is_named_in_its_errors(tmp_path: Path, fake: ModuleType) -> None:
    fake.failure = "no kernel for Einsum"
    with pytest.raises(EngineBuildError, match="Poprt: no kernel for Einsum"):
        Poprt({}).compile(images_graph(), placement_for(images_graph(), tmp_path))


def test_several_threads_get_their_own_outputs(tmp_path: Path, fake: ModuleType) -> None:
    graph = images_graph()
    compiled = Poprt({}).compile(graph, placement_for(graph, tmp_path))
    batches = others(graph, 8)
    with torch.inference_mode():
        expected = [graph.network(*one)[0] for one in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: compiled.complete(one)[0], batches))
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(found, expected, strict=True))
