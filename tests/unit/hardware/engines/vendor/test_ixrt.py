"""`compiler=ixrt`: flags and bindings that IxRT is given, on a fake that reads and writes the bindings' memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from vendor_fakes import forget, put
from vendor_graphs import images_graph, placement_for, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.ixrt import Ixrt
from hardware.precision.evidence import check_evidence


@pytest.fixture
def ixrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    fake = put("ixrt", "ixrt", monkeypatch)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=fake.STREAM))
    yield fake
    forget("ixrt")


def test_without_its_package_it_says_so() -> None:
    assert Ixrt({}).unavailable_reason() == (
        "the Python package ixrt is not installed: ixrt comes with Iluvatar's CoreX, the others from PyPI"
    )


@pytest.mark.parametrize(
    ("precision", "flags", "least", "most"),
    [("fp32", [], 110, 999), ("fp16", ["FP16"], 50, 90), ("bf16", ["BF16"], 35, 70)],
)
def test_what_is_asked_for_is_computed(
    *, precision: str, flags: list[str], least: float, most: float, tmp_path: Path, ixrt: ModuleType
) -> None:
    """No TF32 in any, though the builder begins with it."""
    graph, placement = tokens_graph(), placement_for(tokens_graph(), tmp_path, precision)
    compiled = Ixrt({"optimization_level": 5}).compile(graph, placement)
    assert ixrt.calls == [("build", flags, 5), ("read",)]
    assert least < signal_to_noise_db(graph, compiled) < most
    check_evidence(compiled.evidence.told(), placement.precision)
    assert compiled.evidence.detail == f"builder flags: {flags[0] if flags else 'none'}"


def test_outputs_of_a_request_are_its_own(tmp_path: Path, ixrt: ModuleType) -> None:
    graph = images_graph()
    compiled = Ixrt({}).compile(graph, placement_for(graph, tmp_path))
    placed = compiled.place(graph.inputs)
    first = compiled.run(placed)
    kept = first[0].clone()
    compiled.run(compiled.place((torch.zeros_like(graph.inputs[0]),)))
    assert torch.equal(first[0], kept) and torch.equal(compiled.run(placed)[0], kept)


def test_an_engine_that_is_kept_or_given_is_not_built_again(tmp_path: Path, ixrt: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path)
    Ixrt({}).compile(graph, placement)
    ixrt.calls.clear()
    kept = Ixrt({}).compile(graph, placement)
    given = Ixrt({"engine_path": str(tmp_path / "model.engine")}).compile(graph, placement)
    assert ixrt.calls == [("read",), ("read",)]
    assert kept.made.compile_s is None and given.made.compile_s is None
    assert signal_to_noise_db(graph, kept) > 110 and signal_to_noise_db(graph, given) > 110


def test_what_it_cannot_do_is_refused(tmp_path: Path, ixrt: ModuleType) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="precision=int8, only in fp32, fp16, bf16"):
        Ixrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path, "int8"))
    with pytest.raises(ValueError, match="Did you mean optimization_level"):
        Ixrt({"optimisation_level": 3})


@pytest.mark.parametrize(
    ("failure", "said"),
    [("parse", "IxRT does not parse the graph"), ("build", "IxRT builds no engine"), ("read", "IxRT does not read")],
)
def test_the_tool_is_named_in_its_errors(failure: str, said: str, tmp_path: Path, ixrt: ModuleType) -> None:
    ixrt.failure = failure
    with pytest.raises(EngineBuildError, match=said):
        Ixrt({}).compile(images_graph(), placement_for(images_graph(), tmp_path))


def test_an_engine_that_does_not_execute_is_an_error(tmp_path: Path, ixrt: ModuleType) -> None:
    graph = images_graph()
    compiled = Ixrt({}).compile(graph, placement_for(graph, tmp_path))
    ixrt.failure = "execute"
    with pytest.raises(RuntimeError, match="IxRT did not execute the engine"):
        compiled.complete(graph.inputs)
