"""InferenceX: seconds that come from milliseconds, rates per GPU, power that may be of another meaning."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core.errors import ConfigurationError
from runner.record.report import Report

Imports = Callable[..., list[Report]]


def test_one_node(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "inferencex" / "agg_gptoss_tp8_conc64.json")
    expected = {
        "generation/tokens_per_second": 8002.0,  # 1000.25 per GPU, 4 x 2 GPUs
        "generation/ttft_p50_ms": 250.3,  # 0.2503 s
        "generation/ttft_p99_ms": 750.0,
        "generation/tpot_p50_ms": 19.0,
        "generation/itl_p50_ms": 18.5,
        "infer/latency_p50_ms": 20250.0,
        "power/device_mean_w": 3200.0,  # of all GPUs, not 400 of one
        "energy/device_j": 96000.0,
        "energy/per_sample_j": 150.5,
    }
    assert {name: report.figures[name].value for name in expected} == expected
    told = (
        "devices",
        "chip",
        "vendor",
        "precision",
        "compiler",
        "load",
        "clients",
        "prompt_tokens",
        "new_tokens",
        "model",
    )
    assert [report.case[key] for key in told] == [
        *(8, "A100 SXM 80GB", "nvidia", "fp4", "vllm", "clients", 64, 1024, 1024, None)
    ]


def test_prompts_are_not_counted_as_output(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "inferencex" / "agg_gptoss_tp8_conc64.json")
    assert report.figures["infer/input_tokens_per_second"].value is None
    assert any("Not taken over: tput_per_gpu: prompt and answer added up" in one for one in report.warnings)


def test_prefill_apart_from_decoding(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "inferencex" / "agg_disagg_conc4.json")
    assert report.case["devices"] == 12
    assert report.figures["generation/tokens_per_second"].value == 8002.0  # per GPU that decodes, 8 of 12
    assert report.figures["generation/ttft_p99_ms"].value is None  # 40 prompts
    assert "p99 needs 100" in (report.figures["generation/ttft_p99_ms"].reason or "")
    assert report.figures["power/device_mean_w"].value is None  # an earlier meaning of the same names
    assert any(one["key"] == "speculative decoding" for one in report.division.changed)


def test_power_that_is_called_invalid(imports: Imports, data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "inferencex" / "agg_gptoss_tp8_conc64.json").read_text()) | {"power_valid": 0}
    (tmp_path / "agg_a.json").write_text(json.dumps(content))
    (report,) = imports(tmp_path / "agg_a.json")
    assert report.figures["energy/device_j"].reason == "InferenceX calls its power reading invalid"


def test_a_rate_per_gpu_without_their_number_is_no_rate(imports: Imports, data: Path, tmp_path: Path) -> None:
    content = json.loads((data / "inferencex" / "agg_gptoss_tp8_conc64.json").read_text())
    del content["tp"]
    (tmp_path / "agg_a.json").write_text(json.dumps(content))
    (report,) = imports(tmp_path / "agg_a.json")
    figure = report.figures["generation/tokens_per_second"]
    assert figure.reason == "it is per GPU, and the number of GPUs is not told"


def test_what_the_file_tells_is_not_supplied_otherwise(imports: Imports, data: Path) -> None:
    with pytest.raises(ConfigurationError, match="says precision=fp4, and --set says precision=fp8"):
        imports(data / "inferencex" / "agg_gptoss_tp8_conc64.json", "precision=fp8")
    (report,) = imports(data / "inferencex" / "agg_gptoss_tp8_conc64.json", "model=mixtral_8x7B", "scale=reference")
    assert report.case["model"] == "mixtral_8x7B"
    assert "Supplied by hand, not read from the file: model=mixtral_8x7B, scale=reference." in report.warnings
