"""The columns of `steps.csv`: those of the ranks' own work are younger than many files."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.measure.step_records import StepRecord, StepsFile
from runner.record.step_rows import read_rows

OLD = "rank,step,phase,seconds,core_seconds,samples,tokens,loss"


def record(step: int) -> StepRecord:
    return StepRecord(
        step=step,
        seconds=0.5,
        core_seconds=0.25,
        samples=8,
        tokens=None,
        loss=2.5,
        learning_rate=0.1,
        offset_s=0.5,
        own_seconds=0.375,
        wait_seconds=0.125,
    )


def test_own_work_and_waiting_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    StepsFile.create(path)
    StepsFile(path, rank=3).append("window", [record(1)])
    (row,) = read_rows(path)
    assert (row["rank"], row["seconds"], row["own_seconds"], row["wait_seconds"]) == ("3", "0.5", "0.375", "0.125")


def test_a_run_of_an_earlier_version_goes_on_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text(f"{OLD}\n0,1,window,0.5,0.25,8,,2.5\n")
    StepsFile(path, rank=0).append("window", [record(2)])
    assert [row["step"] for row in read_rows(path)] == ["1", "2"]
    assert path.read_text().splitlines()[-1] == "0,2,window,0.5,0.25,8,,2.5"


@pytest.mark.parametrize("damaged", ["nan", "-1", "0.3x"])
def test_a_damaged_duration_is_no_row(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "steps.csv"
    path.write_text(f"{','.join(StepsFile.COLUMNS)}\n0,1,window,0.5,0.25,8,,2.5,{damaged},0.1\n")
    assert read_rows(path) == []
