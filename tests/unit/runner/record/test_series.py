"""What charts are drawn from, read back from a run folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from plot_samples import WARMUP, write_power, write_steps

from hardware.sampling.trace import Trace
from hardware.sampling.trace_file import TraceRow, TraceWriter
from runner.record.series import label_of, power_of, read_steps, told_by

HEADER = "rank,step,phase,seconds,core_seconds,samples,tokens,loss"


def test_steps_are_joined_over_ranks(tmp_path: Path) -> None:
    write_steps(tmp_path, steps=50, ranks=2)
    steps = read_steps(tmp_path / "steps.csv")
    assert [step.step for step in steps] == list(range(1, 51))
    assert {step.samples for step in steps} == {64}
    assert [step.phase for step in steps] == ["warmup"] * WARMUP + ["window"] * 10
    alone = tmp_path / "alone"
    alone.mkdir()
    write_steps(alone, steps=50, ranks=1)
    singles = read_steps(alone / "steps.csv")
    assert all(both.seconds == pytest.approx(one.seconds + 0.001) for both, one in zip(steps, singles, strict=True))


def test_a_torn_line_and_missing_losses(tmp_path: Path) -> None:
    rows = "0,1,train,0.5,0.4,8,,nan\n0,2,train,0.5,0.4,8,,1.5\n0,3,train,0.5,0.4,8,,\n0,4,train,0.5,0.4,8,,1"
    (tmp_path / "steps.csv").write_text(f"{HEADER}\n{rows}")
    steps = read_steps(tmp_path / "steps.csv")
    assert [(step.step, step.loss) for step in steps] == [(1, None), (2, 1.5), (3, None)]


def test_a_repeated_step_counts_as_it_went_the_last_time(tmp_path: Path) -> None:
    rows = "0,1,train,0.5,0.4,8,,3\n0,2,train,0.5,0.4,8,,2\n0,2,train,0.7,0.4,8,,1\n"
    (tmp_path / "steps.csv").write_text(f"{HEADER}\n{rows}")
    assert [(step.step, step.seconds) for step in read_steps(tmp_path / "steps.csv")] == [(1, 0.5), (2, 0.7)]


def test_power_from_watts_and_from_a_counter(tmp_path: Path) -> None:
    write_power(tmp_path)
    device, package = (power_of(one) for one in Trace.load(tmp_path / "power.csv").series)
    assert device.label == "device: GPU-5f2c (nvml)" and len(device.values) == 400
    assert package.label == "package: package-0 (rapl), counter"
    assert 340 < len(package.values) < 399, "each wrap of the counter leaves a gap"
    assert min(package.values) == pytest.approx(60, abs=1e-6) and max(package.values) < 146


def test_other_columns_are_as_they_were_told(tmp_path: Path) -> None:
    trace = TraceWriter(tmp_path / "power.csv")
    for second, clock in ((1.0, 1410.0), (2.0, None), (3.0, 1200.0)):
        told = {"clock_mhz": clock, "utilisation": 0.5, "meter": "nvml", "source": "GPU-1", "scope": "device"}
        trace.write(TraceRow(monotonic_s=second, unix_s=second, **told))  # type: ignore[arg-type]
    trace.write(TraceRow(monotonic_s=1.0, unix_s=1.0, meter="host", source="host", scope="host", utilisation=0.25))
    trace.close()
    device, host = Trace.load(tmp_path / "power.csv").series
    assert (told_by(device, "clock_mhz").times_s, told_by(device, "clock_mhz").values) == ([1.0, 3.0], [1410, 1200])
    assert told_by(device, "utilisation", 100.0).values == [50, 50, 50]
    assert told_by(host, "clock_mhz").values == [] and power_of(host).times_s == []
    assert label_of(host) == "host", "no word twice"
