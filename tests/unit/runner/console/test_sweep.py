"""A sweep's line before each case, and its closing table."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

from report_samples import failed, report

from runner.console.sweep_progress import SweepProgress
from runner.console.sweep_table import show_sweep


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


def progress(clock: Clock, expected_s: dict[int, float] | None = None, count: int = 4) -> SweepProgress:
    names = [f"case{number}" for number in range(count)]
    return SweepProgress(names=names, expected_s=expected_s or {}, clock=clock, now=lambda: datetime(2026, 1, 1, 14, 0))


def test_without_anything_known_the_first_line_has_no_end() -> None:
    assert progress(Clock()).begin(0) == "Case 1 of 4: case0"


def test_cases_take_the_mean_of_those_that_ran_here() -> None:
    clock = Clock()
    one = progress(clock)
    one.begin(0)
    clock.now_s += 60
    assert one.end(ran=True) == 60.0
    one.begin(1)
    clock.now_s += 120
    one.end(ran=True)
    # Two are left, 90 s each.
    assert one.left_s(2) == 180.0
    assert one.begin(2) == "Case 3 of 4: case2 (elapsed 3 min, about 3 min left, until 14:03)"


def test_a_case_takes_what_it_took_in_an_earlier_sweep() -> None:
    clock = Clock()
    one = progress(clock, {0: 10.0, 1: 20.0, 3: 600.0})
    assert one.left_s(0) == 10 + 20 + 210 + 600  # the unknown one takes the mean of the known: 630 / 3
    one.begin(0)
    clock.now_s += 30
    one.end(ran=True)
    assert one.left_s(1) == 20 + 30 + 600  # now the unknown one takes the mean of those that ran here


def test_a_case_that_was_done_already_says_nothing_of_the_others() -> None:
    clock = Clock()
    one = progress(clock)
    one.begin(0)
    clock.now_s += 0.1
    one.end(ran=False)
    assert one.left_s(1) is None and one.begin(1) == "Case 2 of 4: case1 (elapsed 0 s)"


def test_the_table_names_what_was_not_run_and_what_was_done_earlier(tmp_path: Path) -> None:
    sweep, earlier = tmp_path / "sweep", tmp_path / "before" / "0_bert"
    reports = {earlier: report(), sweep / "1_gpt2": failed(model="gpt2")}
    out = io.StringIO()
    show_sweep(sweep, reports, seconds={sweep / "1_gpt2": 75.0}, not_run=2, file=out)
    shown = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "Sweep: 1 of 4 cases done" in shown
    assert "• 2 were not run. The same command with resume=true runs them." in shown
    assert "0_bert, done earlier done 512.3 sequences/s -" in shown
    assert "1_gpt2 failed (exit 7, DivergedError) - 75 s" in shown
