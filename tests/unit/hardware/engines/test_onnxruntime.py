"""ONNX Runtime: small networks against eager, integers, providers and their memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
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

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.engines.base import UnsupportedGraphError
from hardware.engines.exported import onnx_int8
from hardware.engines.exported import onnxruntime as onnxruntime_engine
from hardware.engines.exported.onnx_file import halved, onnx_file
from hardware.engines.exported.onnx_session import BoundSession, SessionRequest, coverage_of
from hardware.engines.exported.onnx_types import evidence_of
from hardware.engines.exported.onnxruntime import CUDA, HOST, TENSORRT, Onnxruntime
from hardware.engines.graph import calibration_batches
from hardware.precision.evidence import check_evidence

KINDS = [ConvolutionSample, TransformerSample]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    """Exporting takes longest: once for each network."""
    folders = {kind: tmp_path_factory.mktemp(kind.__name__) for kind in KINDS}
    for kind, folder in folders.items():
        exported = onnx_file(sample(kind), placed(folder))
        assert exported.seconds is not None and exported.reason is None
    return folders


@pytest.fixture
def here(exports: dict[Any, Path], tmp_path: Path) -> Path:
    """A folder in which an earlier run has exported the convolutions."""
    shutil.copytree(exports[ConvolutionSample], tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_float32_is_eager_but_for_rounding(kind: Any, exports: dict[Any, Path]) -> None:
    graph = sample(kind)
    compiled = Onnxruntime({}).compile(graph, placed(exports[kind]))
    (found,) = compiled.complete(graph.inputs)
    assert snr_db(found, reference(graph)) > 100
    assert compiled.evidence.detail == f"{kind.products} of {kind.products} products in float32"
    made = compiled.made
    assert made.coverage is not None and made.coverage.taken == made.coverage.total > 0
    assert made.export_s is None and made.export_reason == "an earlier run had exported it"
    assert made.size_bytes == (exports[kind] / "onnx/model.onnx").stat().st_size


@pytest.mark.parametrize("kind", KINDS)
def test_int8_is_of_integers_in_the_graph_that_runs(kind: Any, exports: dict[Any, Path], tmp_path: Path) -> None:
    shutil.copytree(exports[kind], tmp_path, dirs_exist_ok=True)
    graph, placement = sample(kind), placed(tmp_path, "int8", calibration(kind))
    compiled = Onnxruntime({}).compile(graph, placement)
    (found,) = compiled.complete(graph.inputs)
    assert 20 < snr_db(found, reference(graph)) < 80
    assert compiled.evidence.detail == f"{kind.products} of {kind.products} products in int8"
    check_evidence(compiled.evidence.told(), placement.precision)
    assert not list(tmp_path.glob("onnx_int8/prepared*"))


def test_without_fusion_quantised_products_are_found_to_be_float(here: Path) -> None:
    placement = placed(here, "int8", calibration(ConvolutionSample))
    compiled = Onnxruntime({"level": "basic"}).compile(sample(ConvolutionSample), placement)
    assert compiled.evidence.compute == ("float32",)
    with pytest.raises(PrecisionUnsupportedError, match="expected int8, found float32"):
        check_evidence(compiled.evidence.told(), placement.precision)


def test_outputs_are_not_written_over(here: Path) -> None:
    graph = sample(ConvolutionSample)
    compiled = Onnxruntime({"threads": 1}).compile(graph, placed(here))
    first = compiled.run(compiled.place(graph.inputs))
    kept = first[0].copy()
    compiled.run(compiled.place((torch.zeros_like(graph.inputs[0]),)))
    assert (first[0] == kept).all()


def test_a_device_is_reached_through_bindings(here: Path) -> None:
    """The host's memory plays the device's: ONNX Runtime itself then holds the bindings to their word."""
    graph = sample(ConvolutionSample)
    compiled = Onnxruntime({"memory": "cpu"}).compile(graph, placed(here))
    assert isinstance(compiled, BoundSession)
    outputs = compiled.run(compiled.place(graph.inputs))
    assert all(isinstance(one, onnxruntime.OrtValue) for one in outputs)
    assert snr_db(compiled.fetch(outputs)[0], reference(graph)) > 100


class PlayedBinding:
    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.log.append(("in", name, value))

    def bind_output(self, name: str, memory: str, device: int) -> None:
        self.log.append(("out", name, memory, device))

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(numpy=lambda: torch.ones(1, 2).numpy())]


def played(monkeypatch: pytest.MonkeyPatch, log: list[Any], started: list[str]) -> None:
    """A build with CUDA's provider, and a session that notes what it is asked for."""

    def session(path: str, settings: Any, providers: list[Any]) -> Any:
        log.append(("session", providers))
        return SimpleNamespace(
            get_providers=lambda: started,
            get_inputs=lambda: [SimpleNamespace(type="tensor(float16)")],
            io_binding=lambda: PlayedBinding(log),
            run_with_iobinding=lambda binding: log.append("run"),
        )

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA, HOST])
    placed_values = SimpleNamespace(ortvalue_from_numpy=lambda array, *where: (str(array.dtype), *where))
    monkeypatch.setattr(onnxruntime, "OrtValue", placed_values)


def test_copies_to_a_device_lie_outside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []
    played(monkeypatch, log, [CUDA, HOST])
    graph = sample(ConvolutionSample)
    compiled = Onnxruntime({"provider": CUDA}).compile(graph, placed(tmp_path, "fp16_true"))
    assert log == [("session", [(CUDA, {"device_id": 0, "use_tf32": 0}), HOST])]
    assert compiled.made.coverage is None, "a session that does not tell leaves it open"
    assert (compiled.evidence.weights, compiled.evidence.compute) == (("float16",), ("float16",))
    on_device = compiled.place(graph.inputs)
    assert on_device == [("float16", "cuda", 0)] and len(log) == 1
    outputs = compiled.run(on_device)
    assert log[1:] == [("in", "given", ("float16", "cuda", 0)), ("out", "found", "cuda", 0), "run"]
    assert compiled.fetch(outputs)[0].tolist() == [[1.0, 1.0]]


def test_a_provider_that_does_not_start_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, [], [HOST])
    with pytest.raises(HardwareUnavailableError, match="did not start, and ONNX Runtime would run on the host"):
        Onnxruntime({"provider": CUDA}).compile(sample(ConvolutionSample), placed(here))


def test_tf32_is_asked_for_by_its_name_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []
    played(monkeypatch, log, [CUDA, HOST])
    compiled = Onnxruntime({"provider": CUDA}).compile(sample(ConvolutionSample), placed(here, "tf32"))
    assert log[0][1][0] == (CUDA, {"device_id": 0, "use_tf32": 1})
    assert (compiled.evidence.compute, compiled.evidence.source) == (("tf32",), "asked")


def test_tensorrt_is_told_to_use_narrow_types(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []
    played(monkeypatch, log, [TENSORRT, HOST])
    placement = placed(here, "int8", calibration(ConvolutionSample))
    monkeypatch.setattr(onnxruntime_engine, "quantised", lambda exported, *_, **how: log.append(how) or exported)
    compiled = Onnxruntime({"provider": TENSORRT}).compile(sample(ConvolutionSample), placement)
    assert log[0] == {"method": "minmax", "signed": True}
    assert log[1][1][0] == (TENSORRT, {"device_id": 0, "trt_int8_enable": True})
    assert compiled.evidence.source == "asked", "what TensorRT makes of the graph is not told"


@pytest.mark.parametrize(
    ("provider", "precision", "message"),
    [
        (HOST, "fp16_true", "computes float16 products in float32"),
        (HOST, "tf32", "has no switch for TF32"),
        (TENSORRT, "fp32", "NVIDIA_TF32_OVERRIDE=0"),
        (CUDA, "int8", "not known to multiply integers"),
    ],
)
def test_what_a_provider_would_compute_otherwise_is_refused(
    provider: str, precision: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(monkeypatch, [], [provider])
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    with pytest.raises(PrecisionUnsupportedError, match=message):
        Onnxruntime({"provider": provider}).compile(sample(ConvolutionSample), placed(tmp_path, precision))


def test_providers_and_options_that_are_not_known(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, placement = sample(ConvolutionSample), placed(here)
    with pytest.raises(HardwareUnavailableError, match=f"has no {CUDA}, only .*{HOST}"):
        Onnxruntime({"provider": CUDA}).compile(graph, placement)
    with pytest.raises(ValueError, match="level=most is unknown; there are none, basic, extended, all"):
        Onnxruntime({"level": "most"})
    with pytest.raises(ValueError, match="calibration=mean is unknown"):
        Onnxruntime({"calibration": "mean"})
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["MACAExecutionProvider"])
    with pytest.raises(ValueError, match=r"options\.memory must say where MACAExecutionProvider keeps tensors"):
        Onnxruntime({"provider": "MACAExecutionProvider"}).compile(graph, placement)


def test_coverage_counts_nodes_by_provider() -> None:
    def piece(provider: str, *operators: str) -> Any:
        return SimpleNamespace(ep_name=provider, get_nodes=lambda: [SimpleNamespace(op_type=one) for one in operators])

    pieces = [piece(CUDA, "Conv", "Gemm"), piece(HOST, "NonZero"), piece(CUDA, "Relu")]
    found = coverage_of(SimpleNamespace(get_provider_graph_assignment_info=lambda: pieces), CUDA)
    assert found is not None and (found.taken, found.total, found.subgraphs) == (3, 4, 3)
    assert found.fallbacks == {"NonZero": f"left to {HOST}"}
    assert coverage_of(SimpleNamespace(), CUDA) is None
    assert coverage_of(SimpleNamespace(get_provider_graph_assignment_info=list), CUDA) is None


def test_a_half_precision_export_multiplies_in_float16(tmp_path: Path) -> None:
    exported = onnx_file(halved(sample(TransformerSample)), placed(tmp_path, "fp16_true"))
    assert evidence_of(exported.path).detail == "6 of 6 products in float16"


@pytest.mark.parametrize(
    ("network", "node", "reason"),
    [(SingularValues(), "aten._linalg_svd", "No ONNX function"), (ValueDependent(), "GuardOn", "data-dependent")],
)
def test_a_network_that_does_not_export_is_named(network: Any, node: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedGraphError, match=f"ONNX cannot take the network: {node}.*{reason}"):
        Onnxruntime({}).compile(graph_of(network, (torch.ones(4, 4),)), placed(tmp_path))
    assert not (tmp_path / "onnx").exists()


def test_calibration_rows_come_in_the_graphs_batches(tmp_path: Path) -> None:
    rows = torch.arange(10).reshape(10, 1)
    batches = [(rows[:5],), (rows[5:],)]
    threes = calibration_batches(graph_of(ConvolutionSample(), (rows[:3],)), placed(tmp_path, "int8", batches))
    assert [one.flatten().tolist() for (one,) in threes] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    (more,) = calibration_batches(
        graph_of(ConvolutionSample(), (torch.zeros(12, 1),)), placed(tmp_path, "int8", batches)
    )
    assert more[0].flatten().tolist() == [*range(10), 0, 1]
    with pytest.raises(ValueError, match="there are none"):
        calibration_batches(graph_of(ConvolutionSample(), (rows,)), placed(tmp_path, "int8"))


@pytest.mark.parametrize(
    ("machine", "able", "expected"),
    [("x86_64", {"avx512_vnni": True}, False), ("x86_64", {"avx2": True}, True), ("aarch64", {}, False)],
)
def test_x86_without_vnni_needs_weights_of_seven_bits(
    machine: str, able: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_int8.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert onnx_int8.saturates() is expected


def test_the_host_is_not_asked_for_a_second_provider() -> None:
    common: dict[str, Any] = {"path": Path("m"), "provider_options": {}, "level": "ORT_ENABLE_ALL", "threads": 3}
    assert SessionRequest(provider=HOST, **common).providers() == [(HOST, {})]
    assert SessionRequest(provider=HOST, **common).settings().intra_op_num_threads == 3
