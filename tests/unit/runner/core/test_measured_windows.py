"""Figures of the devices are those of the measured segments, and of all devices of the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from report_folders import Folder, case, kept, value

from hardware.meters.base import Reading
from hardware.sampling.trace_file import TraceWriter, row_of, write_meters
from runner.core.events import EventWriter, Name
from runner.record.report import Report

TOLD = Callable[[str, float], Reading | None]
"""(source, seconds since 1000) to what a meter says half a second later, once a second."""


def converged(path: Path, told: TOLD, *, devices: int = 1) -> Report:
    """Two segments of 30 s, from 1010 and from 1070, with 30 s of something else between them."""
    folder = Folder(path, case("converge", devices=devices))
    folder.begin()
    trace = TraceWriter(path / "power.csv")
    for second in range(120):
        for source in ("GPU-a", "GPU-b", "GPU-c"):
            if (reading := told(source, float(second))) is not None:
                at_s = 1000.5 + second
                trace.write(row_of(reading, monotonic_s=at_s, unix_s=at_s, meter="nvml"))
    trace.close()
    write_meters(path / "power.csv", {"meters": {"nvml": {"period_s": 1.0, "reason": None}}})
    folder.segment(0, samples=3000, seconds=30.0, core_s=30.0)
    folder.clock_s += 30
    folder.segment(1, samples=3000, seconds=30.0, core_s=30.0)
    folder.tell(Name.MEMORY, {"allocated_bytes": 1, "reserved_bytes": 1, "reason": None})
    return folder.end(samples=6000, training_s=90.0, evaluate_s=30.0, core_s=60.0)


def test_memory_that_an_allocator_takes_ahead_is_not_what_the_case_uses(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case("train"))
    folder.begin()
    trace = TraceWriter(tmp_path / "run" / "power.csv")
    for second in range(60):
        at_s = 1000.5 + second
        reading = Reading(source="GPU-a", scope="device", memory_used_bytes=60 * 2**30)
        trace.write(row_of(reading, monotonic_s=at_s, unix_s=at_s, meter="nvml"))
    trace.close()
    folder.segment(0, samples=3000, seconds=30.0, core_s=30.0)
    ahead = {"allocated_bytes": 2**33, "reserved_bytes": None, "reason": "no peak", "taken_ahead": "taken at the start"}
    folder.tell(Name.MEMORY, ahead)
    figures = folder.end(samples=3000, training_s=30.0, evaluate_s=0.0, core_s=30.0).figures
    assert figures["memory/device_peak_used_gib"].value is None
    assert figures["memory/device_peak_used_gib"].reason == "taken at the start"
    assert figures["memory/device_peak_allocated_gib"].value == 8


def busy(second: float) -> bool:
    return 9 <= second < 40 or 69 <= second < 100


def test_what_lies_between_the_segments_is_in_no_figure(tmp_path: Path) -> None:
    """Busy at 80 % and 60 °C in the stretches; idle, 90 °C and throttled in the evaluation between them."""

    def told(source: str, second: float) -> Reading | None:
        if source != "GPU-a":
            return None
        if busy(second):
            return Reading(
                source=source, scope="device", power_w=300.0, utilisation=0.8, temperature_c=60.0, throttle=""
            )
        return Reading(
            source=source, scope="device", power_w=50.0, utilisation=0.0, temperature_c=90.0, throttle="HwSlowdown"
        )

    report = converged(tmp_path / "run", told)
    assert value(report, "device/utilisation_mean") == pytest.approx(0.8)
    assert value(report, "energy/device_j") == pytest.approx(60 * 300.0)
    assert value(report, "device/temperature_max_c") == 60.0
    assert not any("throttled" in text for text in report.warnings)
    assert kept(report, "throttling") == "ok"


@pytest.mark.parametrize("there", [1, 2])
def test_a_device_that_no_meter_saw_is_not_left_out_of_the_sum(tmp_path: Path, there: int) -> None:
    def told(source: str, second: float) -> Reading | None:
        if source not in ("GPU-a", "GPU-b", "GPU-c")[:there]:
            return None
        return Reading(
            source=source, scope="device", power_w=300.0, utilisation=0.9, temperature_c=60.0, memory_used_bytes=2**33
        )

    report = converged(tmp_path / "run", told, devices=2)
    figures = {
        "energy/device_j": 2 * 60 * 300.0,
        "power/device_mean_w": 600.0,
        "device/utilisation_mean": 0.9,
        "device/temperature_max_c": 60.0,
        "memory/device_peak_used_gib": 8.0,
    }
    for name, right in figures.items():
        if there == 2:
            assert value(report, name) == pytest.approx(right), name
        else:
            assert value(report, name) is None, name
            assert "1 of the run's 2 devices were read" in (report.figures[name].reason or ""), name


def test_a_meter_that_fell_silent_does_not_say_that_nothing_throttled(tmp_path: Path) -> None:
    def until_50(source: str, second: float) -> Reading | None:
        if source != "GPU-a" or second > 50:
            return None
        return Reading(source=source, scope="device", power_w=300.0, utilisation=0.9, temperature_c=60.0, throttle="")

    report = converged(tmp_path / "run", until_50)
    assert kept(report, "throttling") == "unknown" and value(report, "run/publishable") == 0.0
    (rule,) = [one for one in report.publication.rules if one["rule"] == "throttling"]  # type: ignore[union-attr]
    assert rule["text"] == "its meter did not tell in all of the window: GPU-a"


def test_the_highest_of_the_devices_that_still_answered_is_not_the_highest(tmp_path: Path) -> None:
    def told(source: str, second: float) -> Reading | None:
        if source == "GPU-c" or (source == "GPU-b" and second > 5):
            return None
        hot = 95.0 if source == "GPU-b" else 60.0
        return Reading(source=source, scope="device", power_w=300.0, utilisation=0.9, temperature_c=hot)

    report = converged(tmp_path / "run", told, devices=2)
    assert value(report, "device/temperature_max_c") is None
    assert "read 0 times in the window" in (report.figures["device/temperature_max_c"].reason or "")


@pytest.mark.parametrize("ranks_that_told", [1, 2])
def test_the_highest_memory_of_some_ranks_is_not_the_highest(tmp_path: Path, ranks_that_told: int) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    for rank, gib in enumerate((4, 8)):
        writer = EventWriter(folder.path / "events" / f"rank{rank}.log", rank=rank)
        writer.emit(Name.INIT_END, {"seconds": 1.0})
        if rank < ranks_that_told:
            peaks = {"allocated_bytes": gib * 2**30, "reserved_bytes": gib * 2**30, "reason": None}
            writer.emit(Name.MEMORY, peaks)
    report = folder.end(samples=100, training_s=10.0, evaluate_s=0.0, core_s=10.0)
    assert value(report, "memory/device_peak_allocated_gib") == (8.0 if ranks_that_told == 2 else None)
