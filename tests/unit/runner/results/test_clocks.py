"""Clocks inside the window, and how the devices are set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_folders import A100, Folder, case, value

from hardware.meters.base import Reading
from hardware.sampling.trace_file import TraceWriter, row_of, write_meters
from runner.core.events import Name
from runner.record.report import Report

SETTINGS = {"power_limit_w": 650.0, "max_clock_mhz": 1980.0, "facts": {}, "reasons": {}}
CLOCKS = ("clock/min_mhz", "clock/median_mhz", "clock/max_mhz")


def measured(path: Path, clocks: dict[str, list[float | None]], *settings: Any) -> Report:
    """A window of 30 s from 1010 s on; readings stand every second from its edge on, one before it is not in it."""
    folder = Folder(path, case(devices=2))
    devices = [{"index": i, "name": A100, **({} if one == {} else {"settings": one})} for i, one in enumerate(settings)]
    folder.tell(Name.LAUNCH_TRAINING)
    folder.tell(Name.ENVIRONMENT, {"devices": devices})
    folder.tell(Name.TRAIN_START, {"step": 0, "samples": 0}, after_s=10)
    folder.tell(Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 5.0, "reason": None})
    trace = TraceWriter(path / "power.csv")
    for source, told in clocks.items():
        for number, clock in enumerate([345.0, *told]):
            at_s = 1009.0 + number
            reading = Reading(source=source, scope="device", clock_mhz=clock)
            trace.write(row_of(reading, monotonic_s=at_s, unix_s=at_s, meter="nvml"))
    trace.close()
    write_meters(path / "power.csv", {"meters": {"nvml": {"period_s": 1.0, "reason": None}}})
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    return folder.end(samples=9000, training_s=60.0, evaluate_s=10.0, core_s=40.0)


def test_clocks_are_of_all_devices_in_the_window(tmp_path: Path) -> None:
    report = measured(
        tmp_path,
        {"GPU-a": [1980, 1980, 1410], "GPU-b": [1755, 1980, 1980]},
        SETTINGS,
        SETTINGS | {"max_clock_mhz": 1935.0},
    )
    assert [value(report, name) for name in CLOCKS] == [1410, 1980, 1980]
    assert value(report, "clock/limit_mhz") == 1935 and value(report, "power/cap_w") == 1300
    assert "few_samples: clock/* stands on 3 readings of the meter." in report.warnings


@pytest.mark.parametrize(
    ("clocks", "reason"),
    [
        ({"GPU-a": [1980.0, 1980.0, 1980.0]}, "1 of the run's 2 devices were read"),
        ({"GPU-a": [1980.0], "GPU-b": [1980.0]}, "read 1 times in the window"),
        ({}, "no meter read the device"),
    ],
)
def test_a_clock_that_was_not_read_of_every_device_is_null(tmp_path: Path, clocks: Any, reason: str) -> None:
    report = measured(tmp_path, clocks, SETTINGS, SETTINGS)
    for name in CLOCKS:
        assert value(report, name) is None and reason in (report.figures[name].reason or "")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            SETTINGS | {"power_limit_w": None, "reasons": {"power_limit_w": "nvml: Not Supported"}},
            "nvml: Not Supported",
        ),
        (None, "nothing is asked how a device of NVIDIA GPU is set"),
        ({}, "the run did not tell how its devices are set"),
    ],
)
def test_a_limit_that_one_device_does_not_tell_is_null(tmp_path: Path, settings: Any, reason: str) -> None:
    report = measured(tmp_path, {}, SETTINGS, settings)
    assert value(report, "power/cap_w") is None and report.figures["power/cap_w"].reason == reason
