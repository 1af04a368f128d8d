"""OpenVINO: small networks against eager in every precision, and what the graph that runs says of itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openvino
import pytest
import torch
from exported_samples import (
    ConvolutionSample,
    SingularValues,
    TransformerSample,
    ValueDependent,
    calibration,
    graph_of,
    placed,
    reference,
    sample,
    snr_db,
)

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import UnsupportedGraphError
from hardware.engines.exported.openvino import NAME, Openvino
from hardware.precision.evidence import check_evidence

KINDS = [ConvolutionSample, TransformerSample]
ABLE = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    """Each network's model file, as a first run leaves it."""
    folders = {kind: tmp_path_factory.mktemp(kind.__name__) for kind in KINDS}
    for kind, folder in folders.items():
        made = Openvino({}).compile(sample(kind), placed(folder)).made
        assert made.export_s is not None and made.export_reason is None
    return {kind: folder / "ir" / NAME for kind, folder in folders.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_eager_but_for_rounding(kind: Any, models: dict[Any, Path]) -> None:
    graph = sample(kind)
    compiled = Openvino({"threads": 1}).compile(graph, placed(models[kind].parents[1]))
    (found,) = compiled.complete(graph.inputs)
    assert snr_db(found, reference(graph)) > 100
    assert compiled.evidence.told() == {
        "weights": ["float32"],
        "compute": ["float32"],
        "source": "graph",
        "detail": f"{kind.products} of {kind.products} products in float32",
        "products": {"float32": kind.products},
    }
    made = compiled.made
    assert made.export_s is None and made.export_reason == "an earlier run had exported it"
    assert made.size_bytes == sum(one.stat().st_size for one in models[kind].parent.iterdir())
    assert made.size_bytes > sum(4 * one.numel() for one in graph.network.parameters()), "weights are kept in 32 bits"
    assert made.coverage is not None and made.coverage.taken == made.coverage.total > 0


NARROW = {"bf16": ("BF16", "float32", "bfloat16", 35), "fp16_true": ("FP16", "float16", "float16", 50)}
"""Precision to the capability it needs, types of weights and products, and the least SNR in dB."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", NARROW)
def test_narrow_types_are_what_runs(precision: str, kind: Any, models: dict[Any, Path]) -> None:
    capability, weights, compute, least_db = NARROW[precision]
    if capability not in ABLE:
        pytest.skip(f"this processor lacks {capability}")
    graph, placement = sample(kind), placed(models[kind].parents[1], precision)
    compiled = Openvino({}).compile(graph, placement)
    assert least_db < snr_db(compiled.complete(graph.inputs)[0], reference(graph)) < 100
    assert (compiled.evidence.weights, compiled.evidence.compute) == ((weights,), (compute,))
    check_evidence(compiled.evidence.told(), placement.precision)


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        (ConvolutionSample, "3 of 3 products in int8"),
        (TransformerSample, "4 of 6 products in int8, 2 of 6 products in float32"),
    ],
)
def test_int8_is_quantised_by_calibration(kind: Any, detail: str, models: dict[Any, Path]) -> None:
    graph = sample(kind)
    placement = placed(models[kind].parents[1], "int8", calibration(kind))
    compiled = Openvino({"preset": "mixed"}).compile(graph, placement)
    assert 20 < snr_db(compiled.complete(graph.inputs)[0], reference(graph)) < 80
    assert compiled.evidence.weights == ("int8",) and compiled.evidence.detail == detail
    check_evidence(compiled.evidence.told(), placement.precision)


def test_float32_is_said_to_the_plugin_which_else_chooses_itself() -> None:
    assert Openvino({}).settings("fp32") == {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    options = {"performance_hint": "throughput", "num_streams": 2, "threads": 3}
    assert Openvino(options).settings("bf16") == {
        "INFERENCE_PRECISION_HINT": "bf16",
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": 2,
        "INFERENCE_NUM_THREADS": 3,
    }


@pytest.mark.parametrize(("precision", "lacking"), [("bf16", "BF16"), ("fp16_true", "FP16"), ("int8", "INT8")])
def test_a_precision_that_the_processor_lacks_is_refused(
    precision: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = [one for one in ("FP32", "BF16", "FP16", "INT8") if one != lacking]
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: able)
    with pytest.raises(PrecisionUnsupportedError, match=f"does not offer precision={precision} on this processor"):
        Openvino({}).compile(sample(ConvolutionSample), placed(tmp_path, precision))
    assert not list(tmp_path.iterdir())


def test_several_threads_have_requests_of_their_own(models: dict[Any, Path]) -> None:
    graph = sample(ConvolutionSample)
    compiled = Openvino({}).compile(graph, placed(models[ConvolutionSample].parents[1]))
    inputs = [(torch.full_like(graph.inputs[0], value),) for value in range(8)]
    alone = [compiled.complete(one)[0] for one in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = [one[0] for one in pool.map(compiled.complete, inputs * 4)]
    assert all(torch.equal(found, alone[number % 8]) for number, found in enumerate(together))


def test_a_model_file_that_was_there_is_loaded(models: dict[Any, Path], tmp_path: Path) -> None:
    graph = sample(ConvolutionSample, rows=3)
    compiled = Openvino({"engine_path": str(models[ConvolutionSample])}).compile(graph, placed(tmp_path))
    assert snr_db(compiled.complete(graph.inputs)[0], reference(graph)) > 100
    assert compiled.made.export_reason == "engine_path names a model that was there" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "rows", "message"),
    [
        (lambda models: "/nowhere/model.xml", (2, 3, 16, 16), "no such file with a .bin"),
        (lambda models: models[ConvolutionSample], (2, 5, 16, 16), "model.xml"),
    ],
)
def test_a_model_file_of_another_network_is_refused(
    path: Callable[[Any], Any], rows: tuple[int, ...], message: str, models: dict[Any, Path], tmp_path: Path
) -> None:
    graph = graph_of(ConvolutionSample(), (torch.zeros(rows),))
    with pytest.raises(UnsupportedGraphError, match=message):
        Openvino({"engine_path": str(path(models))}).compile(graph, placed(tmp_path))


@pytest.mark.parametrize(
    ("network", "node"), [(SingularValues(), r"aten\._linalg_svd"), (ValueDependent(), "GuardOnDataDependentSymNode")]
)
def test_a_network_that_cannot_be_converted_is_named(network: Any, node: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGraphError, match=f"openvino cannot take the network: {node}"):
        Openvino({}).compile(graph_of(network, (torch.ones(4, 4),)), placed(tmp_path))
    assert not (tmp_path / "ir").exists()
    levels = {logging.root.level, *(one.level for one in logging.root.handlers)}
    assert levels <= {logging.NOTSET, logging.WARNING}, "others are still heard"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"performance_hint": "speed"}, "performance_hint=speed is unknown"),
        ({"preset": "best"}, "preset=best is unknown"),
        ({"streams": 2}, "Did you mean num_streams"),
    ],
)
def test_options_that_are_not_known(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Openvino(options)
