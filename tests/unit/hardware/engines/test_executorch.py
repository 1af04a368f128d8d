"""ExecuTorch with XNNPACK: small networks against eager, integers, and what the delegate left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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

from hardware.engines.base import UnsupportedGraphError
from hardware.engines.compiled import Coverage
from hardware.engines.exported.executorch import Executorch
from hardware.engines.exported.program import exported_program
from hardware.engines.facts import read_facts, write_facts
from hardware.precision.evidence import Evidence, check_evidence


@pytest.mark.heavy
def test_convolutions_are_delegated_and_the_mean_is_not(tmp_path: Path) -> None:
    graph = sample(ConvolutionSample)
    compiled = Executorch({}).compile(graph, placed(tmp_path))
    assert snr_db(compiled.complete(graph.inputs)[0], reference(graph)) > 100
    assert compiled.evidence.detail == "3 of 3 products in float32"
    made = compiled.made
    # conv, norm, relu, conv, relu | mean | linear
    assert made.coverage == Coverage(
        taken=6, total=7, fallbacks={"aten.mean.dim": "1 left to portable kernels"}, subgraphs=3
    )
    assert made.export_s is not None and made.compile_s is not None
    assert made.size_bytes == (tmp_path / "pte/model.pte").stat().st_size
    again = Executorch({}).compile(graph, placed(tmp_path))
    assert again.made.compile_s is None and again.made.compile_reason == "an earlier run had lowered it"
    assert (again.evidence, again.made.coverage) == (compiled.evidence, made.coverage)
    _outputs_are_kept_and_threads_do_not_meet(again, graph.inputs)


def _outputs_are_kept_and_threads_do_not_meet(compiled: Any, given: Any) -> None:
    inputs = [(torch.full_like(given[0], value),) for value in range(8)]
    alone = [compiled.complete(one)[0] for one in inputs]
    assert not torch.equal(alone[0], alone[1])
    with ThreadPoolExecutor(4) as pool:
        together = [one[0] for one in pool.map(compiled.complete, inputs)]
    assert all(torch.equal(found, wanted) for found, wanted in zip(together, alone, strict=True))


@pytest.mark.heavy
def test_a_transformer_runs_partly_on_portable_kernels(tmp_path: Path) -> None:
    graph = sample(TransformerSample)
    compiled = Executorch({}).compile(graph, placed(tmp_path))
    assert snr_db(compiled.complete(graph.inputs)[0], reference(graph)) > 100
    assert compiled.evidence.detail == "6 of 6 products in float32"
    coverage = compiled.made.coverage
    assert coverage is not None and coverage.taken < coverage.total
    assert coverage.fallbacks["aten.native_layer_norm.default"] == "2 left to portable kernels"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        (ConvolutionSample, "3 of 3 products in int8"),
        (TransformerSample, "4 of 6 products in int8, 2 of 6 products in float32"),
    ],
)
def test_int8_is_quantised_by_calibration(kind: Any, detail: str, tmp_path: Path) -> None:
    graph, placement = sample(kind), placed(tmp_path, "int8", calibration(kind))
    compiled = Executorch({}).compile(graph, placement)
    assert 20 < snr_db(compiled.complete(graph.inputs)[0], reference(graph)) < 80
    assert compiled.evidence.detail == detail
    check_evidence(compiled.evidence.told(), placement.precision)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("network", "node"),
    [
        (SingularValues(), r"aten\._linalg_svd"),
        (ValueDependent(), "GuardOnDataDependent"),
    ],
)
def test_a_network_that_cannot_be_lowered_is_named(network: Any, node: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGraphError, match=f"executorch cannot take the network: {node}"):
        Executorch({}).compile(graph_of(network, (torch.ones(4, 4),)), placed(tmp_path))
    assert not (tmp_path / "pte").exists()


def test_channels_last_is_captured_contiguous() -> None:
    graph = sample(ConvolutionSample)
    network, image = (one.to(memory_format=torch.channels_last) for one in (graph.network, *graph.inputs))
    program = exported_program(graph_of(network, (image,)), "executorch")
    assert all(one.is_contiguous() for one in (*program.state_dict.values(), *program.example_inputs[0]))
    assert not image.is_contiguous() and not network.first.weight.is_contiguous(), "the graph's own stay as they are"
    assert snr_db(program.module()(image)[0], reference(graph)) > 100


def test_facts_come_back_as_they_were_kept(tmp_path: Path) -> None:
    evidence = Evidence(weights=("int8",), compute=("float32", "int8"), source="graph", detail="1 of 2")
    coverage = Coverage(taken=1, total=2, fallbacks={"aten.topk.default": "1 left to portable kernels"}, subgraphs=2)
    write_facts(tmp_path, evidence, coverage)
    assert read_facts(tmp_path) == (evidence, coverage)
