"""A report is a function of the run folder: figures from events written by hand, each computed on paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_folders import A100, BANDWIDTH, HEADER, NVIDIA, PEAK, Folder, case, kept, value
from toy import CPU_SPEC, toy_recipe

from hardware.meters.base import Reading
from hardware.sampling.trace_file import TraceRow, TraceWriter, row_of, write_meters
from models.training import Quality
from runner.config.schema import (
    Case,
)
from runner.core.events import Name
from runner.record.report import Figure, Report, load_report
from runner.record.series import read_steps
from runner.record.task import figures_for
from runner.results.build import build
from runner.results.repeats import combine


@pytest.fixture
def report(tmp_path: Path) -> Report:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    folder.segment(1, samples=2000, seconds=10.0, core_s=8.0)
    rows = [f"0,{step},window,{seconds},{seconds / 2},1000,,1.0" for step, seconds in enumerate([4, 5, 5, 6])]
    (folder.path / "steps.csv").write_text("\n".join([HEADER, *rows, ""]))
    return folder.end(samples=9000, training_s=60.0, evaluate_s=10.0, core_s=40.0)


def test_throughputs_are_samples_over_their_own_time(report: Report) -> None:
    assert value(report, "throughput/steady") == pytest.approx(8000 / 40)
    assert value(report, "throughput/whole") == pytest.approx(9000 / 60)
    assert value(report, "throughput/train") == pytest.approx(9000 / 50)
    assert value(report, "throughput/core") == pytest.approx(9000 / 40)
    assert value(report, "throughput/steady_per_device") == pytest.approx(100)
    assert report.figures["throughput/tokens_per_second"].reason == "the model has no tokens"


@pytest.mark.parametrize(
    ("per_fifth", "told"),
    [
        ((0.1, 0.1, 0.1, 0.124, 0.1), None),
        ((0.362, 0.1, 0.1, 0.1, 0.1), "a step took 362 ms in its slowest fifth and 100 ms in its fastest"),
        ((0.1, 0.1, 0.1, 0.1, 0.125), "a step took 125 ms in its slowest fifth and 100 ms in its fastest"),
    ],
)
@pytest.mark.parametrize("steps", [10, 9])
def test_a_window_whose_speed_changed_says_so(
    tmp_path: Path, per_fifth: tuple[float, ...], told: str | None, steps: int
) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    taken = [seconds for seconds in per_fifth for _ in range(steps)]
    folder.segment(0, samples=6000, seconds=sum(taken), core_s=24.0)
    rows = [f"0,{step},window,{seconds},0.01,1000,,1.0" for step, seconds in enumerate(taken, 1)]
    (folder.path / "steps.csv").write_text("\n".join([HEADER, "0,0,warmup,9.0,0.01,1000,,1.0", *rows, ""]))
    report = folder.end(samples=9000, training_s=60.0, evaluate_s=10.0, core_s=40.0)
    uneven = [text for text in report.warnings if "Uneven" in text]
    assert len(uneven) == (1 if told and steps == 10 else 0), "nine steps tell too little"
    assert not uneven or told in uneven[0]


def test_utilisation_and_limit_follow_from_the_data_sheet(report: Report) -> None:
    assert value(report, "compute/achieved_flops_per_second") == pytest.approx(200e12)
    assert value(report, "compute/peak_flops_per_second") == 2 * PEAK
    assert value(report, "compute/mfu") == pytest.approx(200e12 / (2 * PEAK))
    limit = min(2 * PEAK / 1e12, 2 * BANDWIDTH / 1e9)
    assert value(report, "roofline/throughput_samples_per_second") == pytest.approx(limit)
    assert value(report, "roofline/fraction") == pytest.approx(200 / limit)


def of_devices(tmp_path: Path, *devices: dict[str, Any], ranks: int = 2, samples: int = 6000) -> Report:
    """A run on these visible devices; 6,000 samples are 200 a second, at 10^12 operations each."""
    folder = Folder(tmp_path / "run", case(devices=ranks))
    folder.tell(Name.LAUNCH_TRAINING)
    folder.tell(Name.ENVIRONMENT, {"devices": list(devices)})
    folder.tell(Name.TRAIN_START, {"step": 0, "samples": 0})
    folder.tell(Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 5.0, "reason": None})
    folder.segment(0, samples=samples, seconds=30.0, core_s=24.0)
    return folder.end(samples=samples, training_s=60.0, evaluate_s=10.0, core_s=24.0)


def test_no_peak_is_that_of_the_first_device_of_a_mixed_pair(tmp_path: Path) -> None:
    mixed = of_devices(tmp_path, {"index": 0, "name": A100}, {"index": 1, "name": "NVIDIA H100 80GB HBM3"})
    for name in (
        *("compute/peak_flops_per_second", "compute/mfu", "compute/mfu_of_measured_peak"),
        *("roofline/throughput_samples_per_second", "roofline/fraction"),
    ):
        assert mixed.figures[name].value is None and "different kinds" in (mixed.figures[name].reason or ""), name
    assert mixed.case["chip"] == "A100 SXM 80GB + H100 SXM 80GB"
    assert value(mixed, "compute/achieved_flops_per_second") == pytest.approx(200e12)


def test_a_device_that_no_rank_used_decides_nothing(tmp_path: Path) -> None:
    alone = of_devices(tmp_path, {"index": 0, "name": A100}, {"index": 1, "name": "NVIDIA T4"}, ranks=1)
    assert value(alone, "compute/mfu") == pytest.approx(200e12 / PEAK)


def test_more_than_a_peak_is_said_and_is_no_figure(tmp_path: Path) -> None:
    """24,000 samples in 30 s are 800 TFLOP/s, where two A100 do 624."""
    beyond = of_devices(tmp_path, {"index": 0, "name": A100}, {"index": 1, "name": A100}, samples=24_000)
    for name in ("compute/mfu", "roofline/fraction"):
        figure = beyond.figures[name]
        assert figure.value is None and "it comes to 128.2 %, more than there is" in (figure.reason or "")
        assert any(name in warning and "128.2 %" in warning for warning in beyond.warnings)
    whole = of_devices(tmp_path / "whole", {"index": 0, "name": A100}, {"index": 1, "name": A100}, samples=18_720)
    assert value(whole, "compute/mfu") == pytest.approx(1.0)


def test_an_unknown_chip_has_no_peak_and_a_similar_name_does_not_help(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin(chip="NVIDIA A100-SXM4-80GB Special")
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    made = folder.end(samples=6000, training_s=40.0, evaluate_s=0.0, core_s=24.0)
    for name in ("compute/mfu", "compute/peak_flops_per_second", "roofline/fraction"):
        assert value(made, name) is None and "Special" in (made.figures[name].reason or "")
    assert value(made, "throughput/steady") == pytest.approx(200)


def test_skipped_steps_are_no_steps(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    folder.segment(0, samples=6000, seconds=11.0, core_s=11.0)
    rows = ["0,1,window,4.0,4.0,3000,,1.0", "0,2,window,1.0,1.0,0,,1.0", "0,3,window,6.0,6.0,3000,,1.0"]
    (folder.path / "steps.csv").write_text("\n".join([HEADER, *rows, ""]))
    totals = {"steps": 2, "skipped_steps": 1, "samples": 6000, "tokens": None}
    spans = {"training_s": 40.0, "evaluate_s": 0.0, "core_s": 24.0}
    folder.tell(Name.TRAIN_END, totals | spans)
    made = build(folder.path)
    assert value(made, "run/skipped_steps") == 1
    assert value(made, "step/mean_ms") == pytest.approx(1e3 * (4 + 6) / 2)


def test_times_steps_and_cost(report: Report) -> None:
    assert value(report, "time/e2e_s") == pytest.approx(10 + 40 + 5)
    assert value(report, "time/init_s") == 7.0
    assert value(report, "step/mean_ms") == value(report, "step/p50_ms") == 5000
    assert report.figures["step/p90_ms"].reason == "the window has 4 steps; p90 needs 10"
    assert value(report, "overhead/fraction") == pytest.approx(0.06 / 40)


def test_without_device_events_nothing_is_taken_from_the_hosts_clock(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    rows = [f"0,{step},window,,,1000,,{loss}" for step, loss in enumerate((3.0, 2.0, 1.0), 1)]
    (folder.path / "steps.csv").write_text("\n".join([HEADER, *rows, ""]))
    made = folder.end(samples=6000, training_s=60.0, evaluate_s=10.0, core_s=None)
    for name in ("step/mean_ms", "step/p50_ms", "step/p90_ms", "step/p99_ms", "step/cv", "throughput/core"):
        assert value(made, name) is None and "no device events" in (made.figures[name].reason or ""), name
    assert value(made, "throughput/steady") == pytest.approx(200) and value(made, "overhead/fraction") == 0.001
    assert [(step.step, step.loss) for step in read_steps(folder.path / "steps.csv")] == [(1, 3), (2, 2), (3, 1)]


def test_what_is_publishable(report: Report, tmp_path: Path) -> None:
    assert {kept(report, name) for name in ("status", "emulated", "scale", "measure", "steadiness", "window")} == {"ok"}
    assert value(report, "run/publishable") == 0.0, "nobody knows what ran, how evenly and who else was there"
    assert [kept(report, name) for name in ("precision", "evenness", "host")] == ["unknown"] * 3
    folder = Folder(tmp_path / "emulated", case(emulate=True))
    folder.begin()
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    emulated = folder.end(samples=6000, training_s=40.0, evaluate_s=0.0, core_s=24.0)
    assert kept(emulated, "emulated") == "failed" and value(emulated, "compute/mfu") is None
    assert emulated.case["chip"] is None and "Emulated" in emulated.warnings[0]


def test_best_and_last_quality_are_both_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case("converge"))
    folder.begin()
    for step, accuracy, reached in ((10, 0.4, False), (20, 0.6, True), (30, 0.55, True)):
        told = {"step": step, "samples": 8 * step, "training_s": float(step), "reached": reached}
        folder.tell(Name.EVALUATE, {**told, "quality": {"accuracy": accuracy}, "seconds": 1.0}, after_s=10)
    made = folder.end(samples=240, training_s=30.0, evaluate_s=3.0, core_s=20.0)
    assert list(made.figures) == figures_for("converge", ["accuracy"])
    assert (value(made, "quality/accuracy"), value(made, "quality/accuracy_last")) == (0.6, 0.55)
    assert value(made, "time/to_target_s") == 20.0 and value(made, "convergence/samples_to_target") == 160


@pytest.mark.parametrize(
    ("evaluations", "shown", "reached"),
    [
        ([(0.40, 0.30, False), (0.37, 0.35, False)], (0.40, 0.30), 0.0),
        ([(0.40, 0.30, False), (0.39, 0.35, True)], (0.39, 0.35), 1.0),
    ],
)
def test_all_metrics_are_of_one_evaluation(
    tmp_path: Path, evaluations: list[tuple[float, float, bool]], shown: tuple[float, float], reached: float
) -> None:
    targets = {"box": 0.38, "mask": 0.34}
    recipe = toy_recipe(quality=Quality(targets=targets, mode="max", every_samples=80))
    folder = Folder(tmp_path / "run", replace(case("converge"), model=recipe))
    folder.begin()
    for step, (box, mask, good) in enumerate(evaluations, 1):
        told = {"step": step, "samples": 8 * step, "training_s": float(step), "reached": good, "seconds": 1.0}
        folder.tell(Name.EVALUATE, {**told, "quality": {"box": box, "mask": mask}}, after_s=10)
    made = folder.end(samples=240, training_s=30.0, evaluate_s=3.0, core_s=20.0)
    assert (value(made, "quality/box"), value(made, "quality/mask")) == shown
    assert value(made, "quality/reached") == reached


def test_the_last_evaluation_is_the_last_though_it_told_no_number(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case("converge"))
    folder.begin()
    for step, accuracy in ((10, None), (20, 0.4), (30, float("nan"))):
        told = {"step": step, "samples": 8 * step, "training_s": float(step), "reached": False, "seconds": 1.0}
        folder.tell(Name.EVALUATE, {**told, "quality": {"accuracy": accuracy}}, after_s=10)
    made = folder.end(samples=240, training_s=30.0, evaluate_s=3.0, core_s=20.0, code=8)
    assert value(made, "quality/accuracy") == 0.4
    assert made.figures["quality/accuracy_last"] == Figure(
        value=None, unit=made.figures["quality/accuracy"].unit, reason="the last evaluation told no accuracy"
    )


def test_a_repeat_that_missed_its_target_is_not_left_out(report: Report) -> None:
    """Left out, three repeats of which one missed would show the time to target of the two lucky ones."""

    def one(code: int, to_target_s: float | None, steady: float) -> Report:
        made = {
            "quality/reached": Figure(value=float(code == 0), unit="bool"),
            "time/to_target_s": Figure(
                value=to_target_s, unit="s", reason=None if to_target_s else "the target was not reached"
            ),
            "throughput/steady": Figure(value=steady, unit="images/s"),
        }
        status = "failed" if code else "done"
        return replace(report, status=status, exit_code=code, figures=report.figures | made)  # type: ignore[arg-type]

    joined = combine(report, [one(0, 10.0, 100.0), one(8, None, 110.0), one(0, 20.0, 120.0)])
    assert value(joined, "quality/reached") == 0.0
    assert joined.figures["time/to_target_s"].reason == "the target was not reached"
    assert value(joined, "throughput/steady") == pytest.approx(110.0)
    crashed = combine(report, [one(0, 10.0, 100.0), one(10, None, 400.0), one(0, 20.0, 120.0)])
    assert value(crashed, "throughput/steady") == pytest.approx(110.0)


@pytest.mark.parametrize(("code", "seconds"), [(0, 55.0), (8, 55.0), (2, None), (7, None), (10, None)])
def test_a_failed_case_took_no_time(tmp_path: Path, code: int, seconds: float | None) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    folder.segment(0, samples=6000, seconds=40.0, core_s=24.0)
    made = folder.end(samples=9000, training_s=60.0, evaluate_s=10.0, core_s=40.0, code=code)
    assert value(made, "time/e2e_s") == (pytest.approx(seconds) if seconds else None)
    assert seconds or made.figures["time/e2e_s"].reason == "the case failed before its end"


def test_the_highest_of_several_repeats_is_a_maximum_and_no_mean(report: Report) -> None:
    def one(peak_gib: float, steady: float) -> Report:
        told = {"memory/host_peak_rss_gib": peak_gib, "throughput/steady": steady}
        made = {name: Figure(value=number, unit=report.figures[name].unit) for name, number in told.items()}
        return replace(report, figures=report.figures | made)

    joined = combine(report, [one(2.0, 100.0), one(8.0, 110.0), one(5.0, 120.0)])
    assert joined.figures["memory/host_peak_rss_gib"] == Figure(value=8.0, unit="GiB", repeats=(2.0, 8.0, 5.0))
    assert value(joined, "throughput/steady") == pytest.approx(110.0)
    assert joined.figures["throughput/steady"].interval is not None
    assert joined.figures["throughput/steady"].repeats == (100.0, 110.0, 120.0)


def test_a_folder_whose_runner_was_killed_tells_what_it_had(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    made = build(folder.path)
    assert (made.status, made.exit_code) == ("killed", 130)
    assert value(made, "throughput/steady") == pytest.approx(200)
    assert made.figures["throughput/whole"].reason == "training did not come to its end"
    assert made.figures["compute/mfu"].reason == "the run ended before the model was counted"


def test_a_model_that_cannot_be_counted_keeps_its_measurement(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    folder.tell(Name.ACCOUNT, {"reason": "the model could not be counted: no formula"})
    folder.tell(Name.LAUNCH_END, {"exit_code": 0})
    made = build(folder.path)
    assert made.status == "done" and value(made, "throughput/steady") == pytest.approx(200)
    assert made.figures["compute/mfu"].reason == "the model could not be counted: no formula"


def test_a_failed_run_keeps_its_error_and_is_not_publishable(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    made = folder.end(samples=9, training_s=1.0, evaluate_s=0.0, core_s=1.0, code=7)
    assert (made.status, made.exit_code, made.error) == ("failed", 7, {"class": "DivergedError", "message": "x"})
    assert value(made, "run/publishable") == 0.0
    assert made.figures["throughput/steady"].reason == "no window was completed"


def test_a_saved_report_is_read_back_and_a_changed_one_has_another_hash(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "report.json")
    assert load_report(tmp_path / "report.json").to_dict() == report.to_dict()
    other = replace(report, warnings=["changed"])
    assert other.to_dict()["hash"] != report.to_dict()["hash"]


def test_cpu_energy_needs_a_sensor_and_says_so(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case(vendor=CPU_SPEC))
    folder.begin()
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    made = folder.end(samples=6000, training_s=40.0, evaluate_s=0.0, core_s=24.0)
    assert value(made, "energy/per_sample_j") is None
    assert "no meter read the package" in (made.figures["energy/per_sample_j"].reason or "")


# --- who else was on the host -----------------------------------------------------------------------------------------


def beside_others(path: Path, made: Case, own: list[float | None]) -> Report:
    """One window from 1010 to 1040 s; the whole machine is busy for 0.8, before it and in it."""
    folder = Folder(path, made)
    folder.begin()
    trace = TraceWriter(path / "power.csv")
    for at_s, share in zip((1005.0, 1015.0, 1025.0, 1035.0), own, strict=False):
        for source, utilisation in (("host", 0.8), ("processes", share)):
            one = Reading(source=source, scope="host", utilisation=utilisation)
            trace.write(row_of(one, monotonic_s=at_s, unix_s=at_s, meter="host"))
    trace.close()
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    return folder.end(samples=9000, training_s=60.0, evaluate_s=10.0, core_s=40.0)


def on_host() -> Case:
    return case(vendor=CPU_SPEC, devices=1)


def test_what_others_take_of_the_host_is_the_machines_less_our_own(tmp_path: Path) -> None:
    report = beside_others(tmp_path, on_host(), [0.0, 0.5, None, 0.7])
    # 0.3 of the 5 s up to 1015, 0.1 of the 10 s up to 1035; of the others nobody knows.
    assert value(report, "host/others_utilisation_mean") == pytest.approx((5 * 0.3 + 10 * 0.1) / 15)
    assert kept(report, "host") == "failed"
    (warning,) = [text for text in report.warnings if "Not isolated" in text]
    assert "others took 17% of the host's processors" in warning and "idle machine" in warning


def test_beside_an_accelerator_a_disturbed_host_is_another_fault(tmp_path: Path) -> None:
    report = beside_others(tmp_path, replace(on_host(), vendor=NVIDIA), [0.0, 0.5, None, 0.7])
    assert any("what the host does for the device was slower" in text for text in report.warnings)
    assert kept(report, "host") == "failed"


@pytest.mark.parametrize(("own", "others"), [(0.77, 0.03), (0.9, 0.0)])
def test_a_host_that_is_nearly_ours_alone_is_isolated(tmp_path: Path, own: float, others: float) -> None:
    report = beside_others(tmp_path, on_host(), [own] * 4)
    assert value(report, "host/others_utilisation_mean") == pytest.approx(others)
    assert kept(report, "host") == "ok"
    assert not any("isolated" in text for text in report.warnings)


def test_nobody_knows_of_others_where_the_processors_were_not_read(tmp_path: Path) -> None:
    report = beside_others(tmp_path, on_host(), [0.5, None, None, None])
    figure = report.figures["host/others_utilisation_mean"]
    assert figure.value is None and figure.reason == "the processors' times were not read in this time"
    assert kept(report, "host") == "unknown" and value(report, "run/publishable") == 0.0
    assert any("Whether others used the host's processors in the window is not known" in one for one in report.warnings)
    beside = beside_others(tmp_path / "beside", replace(on_host(), vendor=NVIDIA), [0.5, None, None, None])
    assert kept(beside, "host") == "unknown"
    assert not any("is not known" in one for one in beside.warnings)


def test_a_sampler_that_died_in_the_window_leaves_others_unknown(tmp_path: Path) -> None:
    report = beside_others(tmp_path, on_host(), [0.8, 0.8])  # 5 s of 30 s were seen
    reason = report.figures["host/others_utilisation_mean"].reason
    assert reason == "the processors' times were read for 17% of the window"
    assert value(report, "run/publishable") == 0.0


# --- how often the meters were read -----------------------------------------------------------------------------------


def with_tool(path: Path, readings: int, *, throttle: str = "", watts: float = 200.0) -> Report:
    """One window of 30 s from 1010 s on two devices, read so many times at even distances."""
    folder = Folder(path, case(vendor=replace(NVIDIA, meters=("nvidia_smi",))))
    folder.begin()
    trace = TraceWriter(path / "power.csv")
    period_s = 30 / readings
    for number in range(readings):
        at_s = 1010.0 + number * period_s
        for source in ("GPU-a", "GPU-b"):
            one = Reading(source=source, scope="device", power_w=watts, utilisation=0.9, throttle=throttle)
            trace.write(row_of(one, monotonic_s=at_s, unix_s=at_s, meter="nvidia_smi"))
    trace.close()
    costs = {"period_s": period_s, "read_cpu_s": 0.2 * period_s, "budget": 0.01, "reason": None}
    write_meters(path / "power.csv", {"meters": {"nvidia_smi": costs}})
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    return folder.end(samples=9000, training_s=60.0, evaluate_s=10.0, core_s=40.0)


def test_few_readings_are_said_and_fewer_are_no_figure(tmp_path: Path) -> None:
    enough = with_tool(tmp_path / "enough", 20)
    assert value(enough, "energy/device_j") == pytest.approx(2 * 200 * 30)
    assert not any("few_samples" in text for text in enough.warnings)
    assert "Reading nvidia_smi every 1.5 s took 20% of a core, 20.0% of all cores." in enough.warnings
    few = with_tool(tmp_path / "few", 9)
    assert value(few, "power/device_mean_w") == pytest.approx(400.0)
    assert value(few, "power/device_peak_w") == pytest.approx(400.0)
    assert "few_samples: energy/device_j stands on 9 readings of the meter." in few.warnings
    assert "nvidia_smi was read only every 3.33 s, where the window asks for every 1.5 s." in few.warnings
    assert "few_samples: device/utilisation_mean stands on 9 readings of the meter." in few.warnings
    none = with_tool(tmp_path / "none", 2)
    for name in ("energy/device_j", "power/device_mean_w", "power/device_peak_w", "device/utilisation_mean"):
        assert none.figures[name].value is None
        assert "read 2 times in the window" in (none.figures[name].reason or "")


def test_rest_is_no_throttling(tmp_path: Path) -> None:
    idle = with_tool(tmp_path / "idle", 20, throttle="GpuIdle+ApplicationsClocksSetting")
    assert not any("throttled" in text for text in idle.warnings)
    hot = with_tool(tmp_path / "hot", 20, throttle="GpuIdle+SwThermalSlowdown")
    assert "The device was throttled: SwThermalSlowdown." in hot.warnings


def test_a_working_chip_draws_more_than_a_twentieth_of_its_design_power(tmp_path: Path) -> None:
    # The A100 80GB SXM is one of 400 W: 19 W at 90 % are no reading, 21 W are one.
    broken = with_tool(tmp_path / "broken", 20, watts=19.0)
    assert "19 W at a utilisation of 90%" in (broken.figures["energy/device_j"].reason or "")
    assert value(with_tool(tmp_path / "low", 20, watts=21.0), "power/device_mean_w") == pytest.approx(42.0)


def with_counter(path: Path, seconds: float, cores: int, cost: float = 0.04) -> Report:
    """Two devices of 600 W each, after a second of rest at 100 W; their counters are renewed and read every 0.1 s."""
    folder = Folder(path, case(vendor=replace(NVIDIA, meters=("nvml",))))
    folder.begin()
    trace = TraceWriter(path / "power.csv")
    total_j = 0.0
    for tenth in range(9950, 10110 + round(10 * seconds)):
        watts = 600.0 if tenth >= 10050 else 100.0
        # Renewed late in the second of rest: one step more than there were.
        total_j += 2 * watts / 10 if tenth == 9965 else watts / 10
        for source in ("GPU-a", "GPU-b"):
            one = Reading(source=source, scope="device", power_w=watts, energy_j=total_j)
            trace.write(row_of(one, monotonic_s=tenth / 10, unix_s=tenth / 10, meter="nvml"))
    for mark, at_s in (("idle_begin", 996.0), ("idle_end", 997.0)):
        trace.write(TraceRow(monotonic_s=at_s, unix_s=at_s, mark=mark, meter="sampler"))
    trace.close()
    write_meters(path / "power.csv", {"meters": {"nvml": {"period_s": 0.1, "read_cpu_s": 0.1 * cost, "reason": None}}})
    folder.tell(Name.ENVIRONMENT, {"devices": [{"index": 0, "name": A100}], "host": {"cores_usable": cores}})
    folder.segment(0, samples=6000, seconds=seconds, core_s=0.9 * seconds)
    return folder.end(samples=9000, training_s=60.0, evaluate_s=10.0, core_s=40.0)


def test_a_coarse_counter_is_said_and_does_not_tell_the_power_at_rest(tmp_path: Path) -> None:
    short = with_counter(tmp_path / "short", 1.0, 16)
    assert value(short, "power/device_idle_w") == pytest.approx(200.0), "by the counter 220 W"
    (told,) = [text for text in short.warnings if text.startswith("Energy")]
    assert told.startswith("Energy may be off by 7%: its counter is renewed every 0.1 s in a window of 1 s")
    assert not any("Reading" in text or "was read only" in text for text in short.warnings), "0.25 % of 16 cores"
    long = with_counter(tmp_path / "long", 30.0, 2)
    assert not any(text.startswith("Energy") for text in long.warnings)
    assert "Reading nvml every 0.1 s took 4% of a core, 2.0% of all cores." in long.warnings
    part = long.publication.parts[0]  # type: ignore[union-attr]
    assert part["energy_uncertainty"] < 0.01 and part["meters"]["nvml"]["share_of_core"] == pytest.approx(0.04)
