"""A vendor that only its engine reaches, through the command line: the engine's package and tool are fakes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from command import Ended, run
from engine_tools import PlayedTool
from vendor_fakes import FAKES

from runner.core.errors import DependencyError
from runner.core.events import Name, read_events


@pytest.fixture
def zixiao(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TopsInference and zx-smi, for commands of their own."""
    monkeypatch.setenv("PYTHONPATH", f"{FAKES / 'topsinference'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "tools").mkdir()
    PlayedTool(tmp_path / "tools", monkeypatch, "zx-smi").does("true")


def events_of(ended: Ended, name: Name) -> dict[str, Any]:
    events, _ = read_events(ended.folder / "events" / "rank0.log")
    return next(event.value for event in events if event.name == name)


@pytest.mark.heavy
@pytest.mark.parametrize("model", ["toy", "resnet50"])
def test_it_serves_through_its_engine(model: str, tmp_path: Path, zixiao: None) -> None:
    ended = run(
        tmp_path / "runs",
        *("task=infer", "vendor=zixiao", "compiler=zxrt", f"model={model}", "precision=fp16"),
        *("scale=tiny", "measure=smoke", f"data.cache={tmp_path / 'cache'}"),
    )
    assert ended.code == 0, ended.out
    (report,) = ended.reports.values()
    case, figures = report["case"], {name: figure["value"] for name, figure in report["figures"].items()}
    assert (case["vendor"], case["compiler"], case["emulated"]) == ("zixiao", "zxrt", False)
    told = events_of(ended, Name.PRECISION)
    assert told["weights"] == ["float32"] and told["compute"] == ["float16"]
    assert (told["source"], told["detail"]) == ("asked", "KFP16_MIX")
    assert figures["numerics/passed"] == 1 and 35 < figures["numerics/snr_db"] < 100, "narrower, as was asked"
    assert figures["infer/samples_per_second"] > 0 and figures["infer/compile_s"] > 0
    assert figures["memory/device_peak_used_gib"] is None and figures["energy/per_sample_j"] is None
    memory = events_of(ended, Name.MEMORY)
    assert memory["allocated_bytes"] is None and "TopsInference tells no peaks" in memory["reason"]


def test_without_the_engine_it_says_what_to_do(tmp_path: Path) -> None:
    ended = run(tmp_path, "task=infer", "vendor=zixiao", "compiler=zxrt", "model=toy", "scale=tiny", "measure=smoke")
    assert ended.code == DependencyError.exit_code
    assert [report["status"] for report in ended.found] == ["failed"]
    said = " ".join(ended.out.split())
    assert "compiler=zxrt cannot be used here: the Python package TopsInference is not installed." in said
    assert "Install Tencent's Zixiao driver with zx-smi and its TopsInference package." in said
    assert "add: emulate=true compiler=eager scale=tiny" in said
