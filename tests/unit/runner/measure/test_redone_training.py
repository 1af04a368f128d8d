"""What a run trained twice counts once, a row that was cut counts never, and a reboot joins no two clocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_folders import HEADER, Folder, case, value

from hardware.meters.base import Reading
from hardware.sampling.trace_file import TraceWriter, row_of
from runner.core.events import Name
from runner.measure.step_records import StepRecord, StepsFile
from runner.record.run_record import read_record, spans_of
from runner.record.series import read_steps
from runner.record.step_rows import read_rows
from runner.results.build import build


def write_steps(folder: Path, *rows: str, end: str = "\n") -> None:
    (folder / "steps.csv").write_text("\n".join([HEADER, *rows]) + end)


def evaluate(folder: Folder, step: int, accuracy: float | None, *, training_s: float, reached: bool = False) -> None:
    told = {"step": step, "samples": 8 * step, "training_s": training_s, "reached": reached, "seconds": 1.0}
    folder.tell(Name.EVALUATE, {**told, "quality": {"accuracy": accuracy}}, after_s=1)


def save(folder: Folder, step: int) -> None:
    folder.tell(Name.CHECKPOINT, {"step": step, "samples": 8 * step, "file": "checkpoints/last.ckpt"})


def test_training_after_the_last_checkpoint_counts_as_it_went_the_last_time(tmp_path: Path) -> None:
    """4 + 4 steps, a checkpoint between them, a kill; the second 4 again at half the speed, and reached.

    Kept are 800 samples in 10 s and 800 in 20 s: 53.3 a second. With the lost segment they would be 60 a second, and
    steps of 10 / 4 s would stand twice.
    """
    folder = Folder(tmp_path / "run", case("converge"))
    folder.begin()
    folder.segment(0, samples=800, seconds=10.0, core_s=10.0)
    evaluate(folder, 4, 0.3, training_s=11.0)
    save(folder, 4)
    folder.segment(1, samples=800, seconds=10.0, core_s=10.0)
    evaluate(folder, 8, 0.9, training_s=22.0, reached=True)
    folder.tell(Name.RESUMED, {"step": 4})
    folder.tell(Name.TRAIN_START, {"step": 4, "samples": 32}, after_s=60)
    folder.tell(Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 5.0, "reason": None})
    folder.segment(0, samples=800, seconds=20.0, core_s=20.0)
    evaluate(folder, 8, 0.6, training_s=33.0, reached=True)
    first = [f"0,{step},window,2.5,2.5,200,,1.0" for step in range(1, 9)]
    again = [f"0,{step},window,5.0,5.0,200,,1.0" for step in range(5, 9)]
    write_steps(folder.path, *first, *again)
    made = folder.end(samples=1600, training_s=33.0, evaluate_s=2.0, core_s=30.0)
    assert value(made, "throughput/steady") == pytest.approx(1600 / 30)
    assert value(made, "run/window_s") == 30.0
    assert value(made, "step/mean_ms") == pytest.approx(1e3 * (4 * 2.5 + 4 * 5.0) / 8)
    assert (value(made, "quality/accuracy"), value(made, "time/to_target_s")) == (0.6, 33.0)
    assert made.publication is not None and made.publication.parts[0]["window_steps"] == 8


def test_a_worker_that_was_started_again_from_the_beginning_leaves_nothing_of_the_first_try(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case())
    folder.begin()
    folder.tell(Name.WARMUP_END, {"steady": False, "steps": 20, "seconds": 5.0, "reason": "it changed"})
    folder.segment(0, samples=6000, seconds=30.0, core_s=24.0)
    folder.tell(Name.MEMORY, {"allocated_bytes": 2**33, "reserved_bytes": 2**33, "reason": None})
    folder.tell(Name.TRAIN_START, {"step": 0, "samples": 0}, after_s=9)
    folder.tell(Name.WARMUP_END, {"steady": True, "steps": 10, "seconds": 5.0, "reason": None})
    folder.segment(0, samples=3000, seconds=30.0, core_s=24.0)
    folder.tell(Name.MEMORY, {"allocated_bytes": 2**32, "reserved_bytes": 2**32, "reason": None})
    rows = [
        f"0,{step},window,{seconds},1.0,100,,1.0" for seconds, last in ((5.0, 9), (10.0, 4)) for step in range(1, last)
    ]
    write_steps(folder.path, *rows)
    made = folder.end(samples=3000, training_s=40.0, evaluate_s=0.0, core_s=24.0)
    assert value(made, "throughput/steady") == pytest.approx(100) and value(made, "run/steady") == 1.0
    assert value(made, "step/mean_ms") == pytest.approx(10_000) and value(made, "run/window_s") == 30.0
    assert value(made, "memory/device_peak_allocated_gib") == 4.0


def test_a_part_killed_before_it_told_of_its_checkpoint_keeps_what_the_checkpoint_holds(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run", case("converge"))
    folder.begin()
    folder.segment(0, samples=800, seconds=10.0, core_s=10.0)
    folder.tell(Name.TRAIN_START, {"step": 4, "samples": 32}, after_s=60)
    assert value(build(folder.path), "run/window_s") == 10.0


@pytest.mark.parametrize("cut", ["0,2,window,0.1", "0,2,window,0.12,0.1,8,,1.2", "0,2,window,0.1\n", "0,2,window,0.1,"])
def test_a_row_that_was_cut_is_none(tmp_path: Path, cut: str) -> None:
    write_steps(tmp_path, "0,1,window,0.5,0.4,8,,3.0", cut, end="")
    assert [row["step"] for row in read_rows(tmp_path / "steps.csv")] == ["1"]
    assert [step.step for step in read_steps(tmp_path / "steps.csv")] == [1]


def test_two_rows_in_one_line_are_none(tmp_path: Path) -> None:
    """By name the first eight fields would be a step of 0.1 s with `window` samples."""
    write_steps(tmp_path, "0,1,window,0.5,0.4,8,,3.0", "0,2,window,0.1" + "0,2,window,0.5,0.4,8,,3.0")
    assert [row["seconds"] for row in read_rows(tmp_path / "steps.csv")] == ["0.5"]


@pytest.mark.parametrize("field", ["-1.0", "nan", "inf", "0.5.4", "x"])
def test_what_is_no_duration_is_no_row(tmp_path: Path, field: str) -> None:
    write_steps(tmp_path, f"0,1,window,{field},0.4,8,,3.0", "0,2,window,0.5,0.4,8,,3.0")
    assert [row["step"] for row in read_rows(tmp_path / "steps.csv")] == ["2"]


def test_a_further_part_begins_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    write_steps(tmp_path, "0,1,window,0.5,0.4,8,,3.0", "0,2,window,0.1", end="")
    record = StepRecord(
        step=2, seconds=0.25, core_seconds=0.2, samples=8, tokens=None, loss=1.0, learning_rate=0.1, offset_s=0.25
    )
    StepsFile(path, rank=0).append("window", [record])
    assert [(row["step"], row["seconds"]) for row in read_rows(path)] == [("1", "0.5"), ("2", "0.25")]


def test_a_segment_before_a_reboot_takes_no_power_from_after_it(tmp_path: Path) -> None:
    """Both parts measure their seconds 1000 to 1030, on two monotonic clocks: the trace is the second's, 100 W."""
    folder = Folder(tmp_path / "run", case("converge", devices=1))
    folder.begin()
    folder.clock_s = 1000.0
    folder.segment(0, samples=800, seconds=30.0, core_s=30.0)
    save(folder, 4)
    later_ms = 5_000_000  # of the wall clock: an hour and more after the first part's 1,030,000
    for name, told, at_s in (
        (Name.TRAIN_START, {"step": 4, "samples": 800}, 990.0),
        (Name.SEGMENT_END, {**folder_segment(1000.0, 1030.0)}, 1030.0),
    ):
        folder.rank.emit(name, told, at=(later_ms + round(at_s * 1e3), at_s))
    writer = TraceWriter(folder.path / "power.csv")
    for at in range(9000, 10500):
        reading = Reading(source="GPU-a", scope="device", power_w=100.0, utilisation=1.0)
        writer.write(row_of(reading, monotonic_s=at / 10, unix_s=5000 + at / 10, meter="nvml"))
    writer.close()
    before, after = spans_of(read_record(folder.path))
    assert (after.start_s, after.end_s) == (1000.0, 1030.0)
    assert before.end_s == pytest.approx(1030.0 - 5000.0)
    assert value(build(folder.path), "energy/device_j") is None


def folder_segment(begin_s: float, end_s: float) -> dict[str, float | None]:
    counts = {"segment": 0, "steps": 4, "own_s": 0.0, "samples": 800, "tokens": None, "core_s": 30.0}
    return {**counts, "begin_s": begin_s, "end_s": end_s, "seconds": end_s - begin_s}
