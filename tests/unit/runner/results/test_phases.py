"""The parts of a run's time add up to all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_folders import Folder, case, value

from runner.core.events import Name
from runner.record.report import Report
from runner.record.run_record import read_record
from runner.results.phases import APART, phases

PARTS = ("time/launch_s", "time/init_s", "time/setup_s", "time/train_s", "time/ending_s")


def started(path: Path) -> Folder:
    folder = Folder(path, case(devices=1))
    folder.tell(Name.LAUNCH_TRAINING)
    folder.tell(Name.INIT_START, {"pid": 1}, after_s=2)
    folder.tell(Name.INIT_END, {"seconds": 7.0}, after_s=7)
    return folder


def trained(folder: Folder) -> Report:
    folder.tell(Name.TRAIN_START, {"step": 0, "samples": 0}, after_s=11)
    folder.tell(Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 5.0, "reason": None}, after_s=5)
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    spans = {"training_s": 40.0, "evaluate_s": 0.0, "core_s": 24.0}
    folder.tell(Name.TRAIN_END, {"steps": 9, "samples": 6000, "tokens": None, **spans}, after_s=5)
    folder.clock_s += 3
    return folder.end(samples=6000, training_s=45.0, evaluate_s=0.0, core_s=24.0)


def test_parts_of_a_training_run_add_up(tmp_path: Path) -> None:
    report = trained(started(tmp_path))
    assert [value(report, name) for name in PARTS[:3]] == pytest.approx([2.0, 7.0, 11.0])
    assert value(report, "time/e2e_s") == pytest.approx(2 + 7 + 11 + 48)
    assert value(report, "time/ending_s") == pytest.approx(0.0)


def test_a_served_model_is_set_up_until_it_warms_up(tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.tell(Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 5.0, "reason": None}, after_s=25)
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    folder.tell(Name.LAUNCH_END, {"exit_code": 0, "class": None, "message": ""}, after_s=4)
    found = phases(read_record(tmp_path))
    assert found == pytest.approx({"time/launch_s": 2.0, "time/setup_s": 20.0, "time/ending_s": 4.0})


def test_what_did_not_come_is_null(tmp_path: Path) -> None:
    folder = started(tmp_path)
    folder.tell(Name.LAUNCH_END, {"exit_code": 10, "class": "WorkerCrashedError", "message": "x"}, after_s=4)
    record = read_record(tmp_path)
    found = phases(record)
    assert found["time/launch_s"] == 2.0
    assert "before it was set up" in str(found["time/setup_s"]) and "to its end" in str(found["time/ending_s"])
    several = replace(record, case=replace(record.case, topology=replace(record.case.topology, nodes=2)))
    assert APART in str(phases(several)["time/launch_s"])
