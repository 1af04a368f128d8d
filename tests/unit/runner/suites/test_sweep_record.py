"""`sweep.json`: every case that a sweep was asked for, whether it ran or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.commandline.arguments import read_arguments
from runner.config.compose import composing
from runner.config.plan import plan
from runner.launch import sweep
from runner.suites.sweep_record import SweepCase, SweepRecord, earlier_seconds, load_sweep


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: list[int], *words: str) -> tuple[int, SweepRecord]:
    """A sweep whose cases end with these codes, one after another; -1 was done already."""
    ends = iter(codes)

    def run_case(case, folder, *_: object, placed, **__: object) -> int:  # type: ignore[no-untyped-def]
        code = next(ends)
        placed(tmp_path / "earlier" if code == -1 else folder, code == -1)
        return max(code, 0)

    monkeypatch.setattr(sweep, "run_case", run_case)
    monkeypatch.setattr(sweep, "_start_server", lambda cases: None)
    with composing():
        plans = plan(read_arguments(["-m", *words, "vendor=cpu", "tracking=none", f"run.root={tmp_path}"]))
    code = sweep.run_sweep(plans, vendor_detected=False)
    (path,) = tmp_path.glob("*/*/sweep.json")
    return code, load_sweep(path.parent)


def test_what_ran_what_was_done_and_what_was_never_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, record = run(tmp_path, monkeypatch, [-1, 7, 130], "model=bert", "seed=1,2,3,4")
    assert code == 130
    assert [case.done_already for case in record.cases] == [True, False, False, False]
    assert [case.exit_code for case in record.cases] == [0, 7, 130, None]
    assert [case.folder is None for case in record.cases] == [False, False, False, True]
    assert record.cases[0].seconds is None and record.cases[1].seconds is not None
    assert record.cases[0].folder == "../../earlier"
    assert len({case.identity for case in record.cases}) == 4


def test_a_suite_s_words_and_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, record = run(tmp_path, monkeypatch, [0] * 5, "suite=smoke", "seed=7")
    assert {case.suite for case in record.cases} == {"smoke"} and len(record.cases) == 5
    assert record.cases[0].key == ("task=train", "model=bert", "scale=tiny", "measure=smoke")


def test_secrets_are_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, [0, 0], "model=bert", "seed=1,2", "tracking.uri=http://me:hunter2@host:5000")
    (path,) = tmp_path.glob("*/*/sweep.json")
    assert "hunter2" not in path.read_text()


def test_the_newest_good_time_of_a_case_is_known(tmp_path: Path) -> None:
    for number, (seconds, code) in enumerate([(10.0, 0), (30.0, 0), (99.0, 7)]):
        folder = tmp_path / "day" / f"{number}_sweep"
        folder.mkdir(parents=True)
        case = SweepCase(name="x", key=(), identity="a", exit_code=code, seconds=seconds)
        SweepRecord(cases=[case]).save(folder)
        os.utime(folder / "sweep.json", (number, number))
    (tmp_path / "day" / "bad_sweep").mkdir()
    (tmp_path / "day" / "bad_sweep" / "sweep.json").write_text("{")
    assert earlier_seconds(tmp_path) == {"a": 30.0}
