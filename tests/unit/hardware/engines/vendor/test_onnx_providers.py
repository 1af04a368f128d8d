"""Vendors' providers in ONNX Runtime: CANN and MACA; options, precisions, refusals, numbers."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
from fake_provider import FakeBuild
from vendor_graphs import images_graph, placement_for, precision_of, signal_to_noise_db, tokens_graph

from hardware.base import HardwareUnavailableError, PrecisionUnsupportedError
from hardware.engines.vendor.providers.cann import Cann
from hardware.engines.vendor.providers.macart import Macart
from hardware.engines.vendor.providers.onnx_provider import OnnxProvider
from hardware.precision.evidence import check_evidence

CANN = {
    "device_id": 0,
    "precision_mode": "must_keep_origin_dtype",
    "enable_cann_graph": True,
    "dump_om_model": False,
}
ENGINES = [
    (Cann, "CANNExecutionProvider", CANN, {"cann"}),
    (Macart, "MACAExecutionProvider", {"device_id": 0}, {"cpu"}),
]


@pytest.mark.parametrize(
    ("precision", "least_db", "compute"),
    [("fp32", 110, "float32"), ("fp16", 50, "float16"), ("fp16_true", 40, "float16")],
)
@pytest.mark.parametrize(("kind", "provider", "options", "memory"), ENGINES)
def test_the_provider_is_first_and_keeps_the_graphs_types(  # noqa: PLR0917 -- a table
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: type[OnnxProvider],
    provider: str,
    options: dict[str, object],
    memory: set[str],
    precision: str,
    least_db: float,
    compute: str,
) -> None:
    build = FakeBuild(monkeypatch, provider)
    for number, graph in enumerate((images_graph(), tokens_graph())):
        compiled = kind({}).compile(graph, placement_for(graph, tmp_path / str(number), precision))
        assert signal_to_noise_db(graph, compiled) > least_db
        assert compiled.evidence.compute == (compute,) and compiled.evidence.source == "graph"
        check_evidence(compiled.evidence.told(), precision_of(precision))
    assert build.asked == [[(provider, options), "CPUExecutionProvider"]] * 2
    assert build.memory == memory


@pytest.mark.parametrize("kind", [Cann, Macart])
@pytest.mark.parametrize("precision", ["tf32", "int8", "bf16"])
def test_what_is_not_known_to_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[OnnxProvider], precision: str
) -> None:
    build = FakeBuild(monkeypatch, kind.default_provider)
    graph = images_graph()
    with pytest.raises(PrecisionUnsupportedError, match=f"does not serve in precision={precision}"):
        kind({}).compile(graph, placement_for(graph, tmp_path, precision))
    assert build.asked == []


@pytest.mark.parametrize("name", ["precision_mode", "precision_mode_v2"])
def test_nobody_overrides_the_precision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    build = FakeBuild(monkeypatch, "CANNExecutionProvider")
    graph = images_graph()
    with pytest.raises(ValueError, match=f"{name} follows from precision="):
        Cann({"provider_options": {name: "force_fp16"}}).compile(graph, placement_for(graph, tmp_path))
    Cann({"provider_options": {"op_select_impl_mode": "high_precision"}}).compile(graph, placement_for(graph, tmp_path))
    assert build.asked[0][0][1] == CANN | {"op_select_impl_mode": "high_precision"}


@pytest.mark.parametrize("kind", [Cann, Macart])
def test_a_build_without_the_provider_or_that_does_not_start_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[OnnxProvider]
) -> None:
    graph = images_graph()
    there = onnxruntime.get_available_providers()
    assert kind.default_provider not in there
    with pytest.raises(HardwareUnavailableError, match=f"this build of ONNX Runtime has no {kind.default_provider}"):
        kind({}).compile(graph, placement_for(graph, tmp_path))
    FakeBuild(monkeypatch, kind.default_provider).starts = False
    with pytest.raises(HardwareUnavailableError, match=f"{kind.default_provider} did not start"):
        kind({}).compile(graph, placement_for(graph, tmp_path))


@pytest.mark.parametrize(("kind", "source"), [(Cann, "onnxruntime-cann"), (Macart, "comes with MACA")])
def test_without_onnx_runtime_it_says_how_to_get_the_vendors(
    monkeypatch: pytest.MonkeyPatch, kind: type[OnnxProvider], source: str
) -> None:
    monkeypatch.setattr(kind, "modules", ("onnxruntime_of_nobody",))
    reason = kind({}).unavailable_reason()
    assert reason is not None and source in reason
