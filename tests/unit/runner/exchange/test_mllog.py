"""MLPerf Training's logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core.errors import ConfigurationError
from runner.record.report import Report

Imports = Callable[..., list[Report]]


def test_time_to_target_runs_from_run_start_to_run_stop(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "mllog" / "result_0.txt")
    assert report.figures["time/to_target_s"].value == 796.25  # 857250 - 61000 ms
    assert report.figures["quality/top1"].value == 0.7595
    assert report.figures["quality/top1_last"].value == 0.7595
    assert report.figures["quality/reached"].value == 1.0
    assert report.figures["convergence/samples_to_target"].value == 44840845.0
    assert [report.case[key] for key in ("task", "model", "seed", "batch_size", "devices")] == [
        *("converge", "resnet50", 7, None, None)  # the global batch is of nobody knows how many devices
    ]
    assert report.case["global_batch_size"] == 3264


def test_a_submitters_throughput_is_left_out(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "mllog" / "result_0.txt")
    assert report.figures["throughput/whole"].value is None
    assert any("Not taken over: tracked_stats" in one and "one GPU" in one for one in report.warnings)


def test_a_loss_is_best_where_it_is_lowest_and_an_aborted_run_failed(imports: Imports, data: Path) -> None:
    (report,) = imports(data / "mllog" / "aborted.txt")
    assert report.figures["quality/evaluation_loss"].value == 0.94
    assert report.figures["quality/evaluation_loss_last"].value == 0.96
    assert report.figures["time/to_target_s"].value is None
    assert report.status == "failed"
    assert report.error == {"class": "NotReached", "message": "run_stop says aborted: the target was not reached."}
    assert report.case["model"] is None


def test_a_log_without_end_failed(imports: Imports, data: Path, tmp_path: Path) -> None:
    lines = (data / "mllog" / "result_0.txt").read_text().splitlines()
    (tmp_path / "cut.txt").write_text("\n".join(lines[:-1]))
    (report,) = imports(tmp_path / "cut.txt")
    assert report.status == "failed"
    assert report.figures["time/to_target_s"].value is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("submission_benchmark", "submission_else"), "holds no submission_benchmark"),
        (('"time_ms": 1700000061000', '"time": 1'), "line 10 is no MLLOG line with time_ms"),
    ],
)
def test_damaged_logs_are_refused(
    imports: Imports, data: Path, tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    text = (data / "mllog" / "result_0.txt").read_text()
    assert change[0] in text
    (tmp_path / "log.txt").write_text(text.replace(*change))
    with pytest.raises(ConfigurationError, match=said):
        imports(tmp_path / "log.txt")


def test_two_runs_in_a_log_are_refused(imports: Imports, data: Path, tmp_path: Path) -> None:
    text = (data / "mllog" / "result_0.txt").read_text()
    (tmp_path / "log.txt").write_text(text + text)
    with pytest.raises(ConfigurationError, match="several runs"):
        imports(tmp_path / "log.txt")
