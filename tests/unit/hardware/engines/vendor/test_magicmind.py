"""MagicMind: its configuration for each precision, calibration, what is refused, models that are kept, numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vendor_fakes import forget, put
from vendor_graphs import images_graph, mixed_up, others, placement_for, precision_of, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import UnsupportedGraphError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.magicmind import Magicmind
from hardware.precision.evidence import check_evidence


@pytest.fixture
def mm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield put("magicmind", "magicmind.python.runtime", monkeypatch)
    forget("magicmind")


def configuration(mode: str, **precision: str) -> dict[str, Any]:
    return {
        "precision_config": {"precision_mode": mode, **precision},
        "graph_shape_mutable": False,
        "opt_config": {"type64to32_conversion": True, "conv_scale_fold": True},
    }


def test_without_its_package_it_says_where_it_comes_from() -> None:
    reason = Magicmind({}).unavailable_reason()
    assert reason is not None and "magicmind is not installed: MagicMind comes with Cambricon's SDK" in reason


@pytest.mark.parametrize(
    ("precision", "mode", "least_db", "most_db"),
    [("fp32", "force_float32", 110, 200), ("fp16_true", "force_float16", 50, 90)],
)
def test_the_mode_is_the_precisions(  # noqa: PLR0917 -- a table
    mm: Any, tmp_path: Path, precision: str, mode: str, least_db: float, most_db: float
) -> None:
    graph = images_graph()
    compiled = Magicmind({}).compile(graph, placement_for(graph, tmp_path, precision))
    assert mm.calls == [configuration(mode), ("active", 0)]
    assert least_db < signal_to_noise_db(graph, compiled) < most_db
    assert (compiled.evidence.source, compiled.evidence.detail) == ("asked", f"precision_mode={mode}")
    check_evidence(compiled.evidence.told(), precision_of(precision))


@pytest.mark.parametrize("mixed", ["float16", "float32"])
def test_int8_is_calibrated_on_the_device(mm: Any, tmp_path: Path, mixed: str) -> None:
    graph = tokens_graph()
    placement = placement_for(graph, tmp_path, "int8", calibration=others(graph, 3))
    compiled = Magicmind({"mixed": mixed}).compile(graph, placement)
    quantised = {"activation_quant_algo": "symmetric", "weight_quant_granularity": "per_axis"}
    counted = [("tokens", 3), ("scale", 3)]
    assert mm.calls[:-1] == [
        configuration(f"qint8_mixed_{mixed}", **quantised),
        ("active", 0),
        "LINEAR_ALGORITHM",
        *counted,
    ]
    assert 15 < signal_to_noise_db(graph, compiled) < 60
    check_evidence(compiled.evidence.told(), precision_of("int8"))
    with pytest.raises(EngineBuildError, match="there are none"):
        Magicmind({}).compile(graph, placement_for(graph, tmp_path / "other", "int8"))


def test_several_inputs_and_outputs_and_options(mm: Any, tmp_path: Path) -> None:
    graph = tokens_graph()
    compiled = Magicmind({"archs": ["mtp_592"]}).compile(graph, placement_for(graph, tmp_path))
    assert mm.calls[0] == configuration("force_float32") | {"archs": ["mtp_592"]}
    assert signal_to_noise_db(graph, compiled) > 110
    with pytest.raises(ValueError, match="mixed=int4 is unknown; there are float16, float32"):
        Magicmind({"mixed": "int4"})


@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16", "int4"])
def test_a_precision_it_does_not_list_is_refused(mm: Any, tmp_path: Path, precision: str) -> None:
    graph = images_graph()
    with pytest.raises(PrecisionUnsupportedError, match=f"does not serve in precision={precision}"):
        Magicmind({}).compile(graph, placement_for(graph, tmp_path, precision))
    assert mm.calls == []


def test_what_it_says_is_named(mm: Any, tmp_path: Path) -> None:
    graph = images_graph()
    mm.builds = False
    with pytest.raises(EngineBuildError, match="builds no model of the graph"):
        Magicmind({}).compile(graph, placement_for(graph, tmp_path))
    mm.refuses = "op Foo is not supported"
    with pytest.raises(UnsupportedGraphError, match="magicmind cannot take the network: its parser: op Foo"):
        Magicmind({}).compile(graph, placement_for(graph, tmp_path))
    assert not (tmp_path / "model.magicmind").exists()


def test_a_model_is_built_once_and_may_be_given(mm: Any, tmp_path: Path) -> None:
    graph = images_graph()
    first = Magicmind({}).compile(graph, placement_for(graph, tmp_path))
    assert first.made.compile_s is not None and first.made.coverage is not None
    mm.calls.clear()
    kept = Magicmind({}).compile(graph, placement_for(graph, tmp_path))
    given = Magicmind({"engine_path": str(tmp_path / "model.magicmind")}).compile(
        graph, placement_for(graph, tmp_path / "none")
    )
    assert mm.calls == [("active", 0)] * 2 and (kept.made.compile_s, given.made.compile_s) == (None, None)
    assert min(signal_to_noise_db(graph, one) for one in (kept, given)) > 110


def test_another_models_file_is_refused(mm: Any, tmp_path: Path) -> None:
    graph = images_graph()
    Magicmind({}).compile(graph, placement_for(graph, tmp_path))
    given = Magicmind({"engine_path": str(tmp_path / "model.magicmind")})
    with pytest.raises(EngineBuildError, match="is of another network"):
        given.compile(tokens_graph(), placement_for(tokens_graph(), tmp_path / "none"))
    (tmp_path / "model.magicmind").write_bytes(b"?")
    with pytest.raises(EngineBuildError, match="cannot load"):
        given.compile(graph, placement_for(graph, tmp_path / "none"))


def test_requests_at_once_are_each_answered(mm: Any, tmp_path: Path) -> None:
    graph = images_graph()
    assert mixed_up(graph, Magicmind({}).compile(graph, placement_for(graph, tmp_path))) == 0
