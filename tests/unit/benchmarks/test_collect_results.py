"""Rows of finished runs: what they hold, what they hide, which runs are refused, and that they count as measured."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from report_samples import failed, report, saved

from benchmarks.collect import main
from runner.core.events import EventWriter, Name
from runner.core.owner import FILE as OWNER
from runner.record.report import Report
from runner.tools.supported.evidence import RESULTS, ROOT, Measured, measured

UUID = "GPU-01234567-89ab-cdef-0123-456789abcdef"
FIRST_OF_MARCH_MS = 1772323200000
"""2026-03-01, 00:00 UTC."""
SHARED = {"python": "3.12.3", "packages": {"torch": "2.11.0"}, "host": {"cpu": "Some CPU", "cores_physical": 16}}


def run_folder(folder: Path, made: Report, **environment: Any) -> Path:
    """A run folder of the first of March on the machine `lab7`."""
    made.environment = {**SHARED, "devices": [{"uuid": UUID, "pci_bus_id": "0000:00:06.0"}], **environment}
    log = folder / "events" / "parent.log"
    EventWriter(log, rank=-1).emit(Name.SUBMIT_INFO, {})
    prefix, line = log.read_text().split("{", 1)
    told = json.loads("{" + line)
    told["metadata"]["time_ms"] = FIRST_OF_MARCH_MS
    log.write_text(prefix + json.dumps(told) + "\n")
    (folder / OWNER).write_text("575 lab7\n")
    made.save(folder / "report.json")
    return folder


def collect(root: Path, *more: str) -> dict[str, Any]:
    """The file made of all runs below `root / "runs"`."""
    assert main([*more, "--out", str(root / RESULTS), "chip", str(root / "runs")]) == 0
    content: dict[str, Any] = json.loads((root / RESULTS / "chip_2026-03-01.json").read_text())
    return content


def test_a_row_has_choices_measured_figures_and_warnings(tmp_path: Path) -> None:
    values = {"step/p50_ms": 62.4567890123}
    made = report(values=values, intervals={"throughput/steady": (510.0, 514.0)}, warnings=["It was hot."])
    run_folder(tmp_path / "runs" / "a", made)
    content = collect(tmp_path, "--about", "a try")
    assert content["about"] == "a try" and content["date"] == "2026-03-01"
    assert content["host"] == {"cpu": "Some CPU", "cores": 16, "python": "3.12.3", "torch": "2.11.0"}
    (row,) = content["rows"]
    assert {"model": "bert", "framework": "pytorch", "precision": "fp32", "batch_size": 24}.items() <= row.items()
    assert {"chip": "A100-SXM4-40GB", "unit": "sequences", "status": "done"}.items() <= row.items()
    assert row["report"] == made.to_dict()["hash"]
    assert row["figures"]["throughput/steady"] == 512.345 and row["figures"]["step/p50_ms"] == 62.456789
    assert row["figures"]["run/steady"] is True
    assert "power/device_mean_w" not in row["figures"], "it is null"
    assert row["intervals"] == {"throughput/steady": [510.0, 514.0]}
    assert row["warnings"] == ["It was hot."]


def test_rows_count_as_measured_and_a_failed_run_does_not(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs" / "a", report(framework="jax"))
    run_folder(tmp_path / "runs" / "b", failed(model="gpt2"))
    assert [row["status"] for row in collect(tmp_path)["rows"]] == ["done", "failed"]
    told = {"model": "bert", "scale": "reference", "task": "train", "compiler": "eager", "framework": "jax"}
    assert measured(tmp_path) == [Measured(vendor="nvidia", chip="A100-SXM4-40GB", date="2026-03-01", **told)]


def test_a_failed_run_says_why_without_names_of_the_machine(tmp_path: Path) -> None:
    message = f"It ended:\n  -------\n[lab7:00463] no device {UUID} in /home/someone/runs/x.so, at 0000:00:06.0"
    run_folder(tmp_path / "runs" / "a", failed(message=message))
    (row,) = collect(tmp_path)["rows"]
    assert row["class"] == "DivergedError"
    assert row["reason"] == "It ended: […:00463] no device … in …x.so, at …"
    text = (tmp_path / RESULTS / "chip_2026-03-01.json").read_text()
    assert not any(name in text for name in ("lab7", "someone", UUID, str(tmp_path)))


def test_what_runs_differ_in_stays_in_their_rows(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs" / "a", report(), stack={"driver": "580", "timing": "device events"})
    run_folder(tmp_path / "runs" / "b", report(seed=2), packages={"torch": "2.12.0"}, stack={"driver": "580"})
    content = collect(tmp_path)
    assert content["host"] == {"cpu": "Some CPU", "cores": 16, "python": "3.12.3", "driver": "580"}
    assert [row["host"] for row in content["rows"]] == [{"torch": "2.11.0"}, {"torch": "2.12.0"}]


def test_an_estimate_joins_the_run_of_the_same_choices(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs" / "a", report())
    run_folder(tmp_path / "runs" / "b", report(batch_size=8))
    run_folder(tmp_path / "runs" / "c", report(task="inspect"))
    rows = collect(tmp_path)["rows"]
    assert [row["figures"].get("estimate/total_gib") for row in rows] == [6.5, None]


def test_the_same_report_counts_once(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "runs" / "a", report())
    shutil.copytree(run, tmp_path / "runs" / "copy")
    assert len(collect(tmp_path)["rows"]) == 1


def test_the_host_cpu_is_the_chip_of_its_runs(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs" / "a", report(vendor="cpu", chip=None))
    assert collect(tmp_path)["rows"][0]["chip"] == "Some CPU"
    assert measured(tmp_path)[0].chip == "Some CPU"


def test_emulated_runs_are_taken_only_if_asked_for_and_never_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder(tmp_path / "runs" / "a", report(emulated=True))
    assert main(["chip", str(tmp_path / "runs"), "--out", str(tmp_path / RESULTS)]) == 2
    assert "is an emulated run" in capsys.readouterr().err and not (tmp_path / RESULTS).exists()
    assert collect(tmp_path, "--emulated")["rows"][0]["emulated"] is True
    assert measured(tmp_path) == []


def test_changed_imported_and_undated_runs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = run_folder(tmp_path / "changed", report()) / "report.json"
    changed.write_text(changed.read_text().replace("512.345", "912.345"))
    made = report()
    made.imported = {"format": "flagperf"}
    run_folder(tmp_path / "imported", made)
    saved(tmp_path / "undated", report())
    run_folder(tmp_path / "planned", report(task="inspect"))
    refusals = {"changed": "was changed", "imported": "another tool", "undated": "when", "planned": "measured anything"}
    for name, text in refusals.items():
        assert main(["chip", str(tmp_path / name), "--out", str(tmp_path / RESULTS)]) == 2
        assert text in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((ROOT / RESULTS).glob("*.json")), ids=lambda path: path.stem)
def test_no_committed_result_names_a_folder_of_a_machine(path: Path) -> None:
    assert not re.findall(r'(?:^|[\s"(=])/(?!sys/|proc/|dev/)(?:[\w.-]+/)+[\w.-]*', path.read_text())
