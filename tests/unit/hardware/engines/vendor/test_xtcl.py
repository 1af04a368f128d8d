"""`compiler=xtcl`: switches and targets that XTCL is given, on a fake that obeys them and runs the real graph."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from vendor_fakes import forget, put
from vendor_graphs import images_graph, placement_for, signal_to_noise_db, tokens_graph

from hardware.base import PrecisionUnsupportedError
from hardware.engines.vendor.from_onnx import EngineBuildError
from hardware.engines.vendor.xtcl import SWITCHES, Xtcl
from hardware.precision.evidence import check_evidence


@pytest.fixture
def tvm(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """With the environment of FlagPerf's container."""
    monkeypatch.setenv("XTCL_USE_FP16", "1")
    monkeypatch.setenv("XTCL_QUANTIZE_WEIGHT", "1")
    monkeypatch.setenv("XTCL_USE_NEW_ALTER_PASS", "1")
    monkeypatch.delenv("XPUSIM_DEVICE_MODEL", raising=False)
    yield put("xtcl", "tvm", monkeypatch)
    forget("xtcl")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Xtcl({}).unavailable_reason() == (
        "the Python package tvm is not installed: tvm is XTCL of Kunlunxin's SDK, not the one of PyPI"
    )
    (tmp_path / "tvm/contrib").mkdir(parents=True)
    (tmp_path / "tvm/__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    reason = Xtcl({}).unavailable_reason()
    assert reason is not None and "not XTCL's (it has no tvm.contrib.xpu_config)" in reason
    assert "tvm" not in sys.modules, "the parent does not import it"
    (tmp_path / "tvm/contrib/xpu_config.py").touch()
    assert Xtcl({}).unavailable_reason() is None


@pytest.mark.parametrize("executor", ["vm", "graph"])
@pytest.mark.parametrize(
    ("precision", "switches", "least", "most"),
    [
        ("fp32", ("0", "0", "0"), 110, 999),
        ("fp16", ("0", "0", "1"), 50, 90),
        ("w32a16", ("1", "1", "1"), 50, 90),
    ],
)
def test_what_is_asked_for_is_computed(
    *,
    executor: str,
    precision: str,
    switches: tuple[str, ...],
    least: float,
    most: float,
    tmp_path: Path,
    tvm: ModuleType,
) -> None:
    """fp32 too, where the environment asks for float16."""
    graph, placement = tokens_graph(), placement_for(tokens_graph(), tmp_path, precision)
    compiled = Xtcl({"executor": executor, "disabled_pass": ["FuseOps"]}).compile(graph, placement)
    config = {"XPUOutDtypeConfig": {"default_precision": "float16"}} if precision == "fp16" else {}
    graph_target = "xpu -libs=xdnn -split-device-funcs -device-type=xpu2"
    how = ("vm.compile", "llvm -acc=xpu1") if executor == "vm" else ("relay.build", graph_target)
    loaded = ("VirtualMachine",) if executor == "vm" else ("graph_executor",)
    assert sorted(map(str, tvm.calls)) == sorted(
        map(
            str,
            (
                ("from_onnx", {"tokens": [2, 7], "scale": [2, 1, 1]}),
                ("PassContext", 3, config, ["FuseOps"]),
                how,
                ("switches", *switches),
                ("device", "xpu", 0),
                loaded,
            ),
        )
    )
    assert least < signal_to_noise_db(graph, compiled) < most
    check_evidence(compiled.evidence.told(), placement.precision)
    assert f"XTCL_USE_FP16={switches[0]}" in compiled.evidence.detail and compiled.evidence.source == "asked"


def test_every_precision_sets_the_same_switches() -> None:
    assert len({frozenset(switches) for switches in SWITCHES.values()}) == 1


def test_the_generation_and_patterns_are_handed_on(
    tmp_path: Path, tvm: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XPUSIM_DEVICE_MODEL", "KUNLUN2")
    engine = Xtcl({"build_config": {"pattern_match": "bert", "XPUL3": 1}})
    engine.compile(images_graph(), placement_for(images_graph(), tmp_path))
    assert ("vm.compile", "llvm -acc=xpu2") in tvm.calls
    assert ("PassContext", 3, {"XPUL3": 1, "XPUFuzzyMatch": {"pattern_match": "bert"}}, []) in tvm.calls


def test_an_engine_that_is_kept_or_given_is_not_built_again(tmp_path: Path, tvm: ModuleType) -> None:
    graph, placement = images_graph(), placement_for(images_graph(), tmp_path)
    Xtcl({}).compile(graph, placement)
    tvm.calls.clear()
    kept = Xtcl({}).compile(graph, placement)
    given = Xtcl({"engine_path": str(tmp_path / "compiled")}).compile(graph, placement)
    assert tvm.calls == [("device", "xpu", 0), ("VirtualMachine",)] * 2
    assert kept.made.compile_s is None and given.made.compile_s is None and kept.made.size_bytes
    assert signal_to_noise_db(graph, kept) > 110 and signal_to_noise_db(graph, given) > 110
    other = Xtcl({"engine_path": str(tmp_path / "compiled"), "executor": "graph"})
    with pytest.raises(EngineBuildError, match=r"holds no graph.json: executor=graph did not make it"):
        other.compile(graph, placement)


def test_what_it_cannot_do_is_refused(tmp_path: Path, tvm: ModuleType) -> None:
    with pytest.raises(PrecisionUnsupportedError, match="precision=bf16, only in fp32, fp16, w32a16"):
        Xtcl({}).compile(images_graph(), placement_for(images_graph(), tmp_path, "bf16"))
    with pytest.raises(ValueError, match="executor=aot is unknown; there are vm, graph"):
        Xtcl({"executor": "aot"})


def test_the_tool_is_named_in_its_errors(tmp_path: Path, tvm: ModuleType) -> None:
    tvm.failure = "OpNotImplemented: Einsum"
    with pytest.raises(EngineBuildError, match="Xtcl: OpNotImplemented: Einsum"):
        Xtcl({}).compile(images_graph(), placement_for(images_graph(), tmp_path))
