"""Where a case of a distributed sweep is, told from its files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from report_samples import report

from runner.core.lock import let_go, take
from runner.sweeping.follow import SETTLE_S, STALE_S, Followed
from runner.sweeping.job_files import VARIABLE, CaseFiles, tell_place


class Clock:
    """Monotonic seconds, moved by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def one(tmp_path: Path, clock: Callable[[], float]) -> Followed:
    return Followed(number=0, files=CaseFiles(tmp_path / ".jobs", 0), clock=clock)


def run_folder(tmp_path: Path, one: Followed, monkeypatch: pytest.MonkeyPatch, *, done: bool = False) -> Path:
    """A folder that the case's command took."""
    folder = tmp_path / "0_case"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv(VARIABLE, str(one.files.folder))
    tell_place(folder, done)
    return folder


def begin(one: Followed) -> None:
    one.files.begin({"job": "7_0", "host": "n1", "pid": 1})


def test_a_case_waits_runs_and_ends(tmp_path: Path, one: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one.look(gone=False) == "waiting"
    begin(one)
    assert one.look(gone=False) == "running"
    folder = run_folder(tmp_path, one, monkeypatch)
    assert one.report() is None
    report().save(folder / "report.json")
    assert one.look(gone=False) == "running", "its command may still file it"
    one.files.end(0, 12.5)
    assert one.look(gone=False) == "ended"
    found = one.report()
    assert found is not None and found.status == "done"
    assert one.files.ended == {"exit_code": 0, "took_s": 12.5}


def test_a_job_that_is_gone_is_lost_once_its_files_had_time_to_show(one: Followed, clock: Clock) -> None:
    begin(one)
    assert one.look(gone=True) == "running"
    clock.now_s += SETTLE_S - 1
    assert one.look(gone=True) == "running"
    clock.now_s += 1
    assert one.look(gone=True) == "lost"
    one.files.end(0, 1.0)
    assert one.look(gone=False) == "lost", "what was recorded stays"


def test_a_job_that_came_back_is_not_lost(one: Followed, clock: Clock) -> None:
    """SLURM requeues the jobs of a node that failed."""
    begin(one)
    one.look(gone=True)
    clock.now_s += SETTLE_S - 1
    one.look(gone=False)
    clock.now_s += 2
    assert one.look(gone=True) == "running"


def test_without_a_queue_to_ask_signs_of_life_count(one: Followed, clock: Clock) -> None:
    begin(one)
    for count in range(3):
        one.files.beat(count)
        assert one.look(gone=None) == "running"
        clock.now_s += STALE_S
    assert one.look(gone=None) == "running", "silent for just as long as it may be"
    clock.now_s += 1
    one.look(gone=None)
    clock.now_s += SETTLE_S
    assert one.look(gone=None) == "lost"


def test_a_case_whose_folder_is_owned_still_runs(
    tmp_path: Path, one: Followed, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job's process was killed, its command was not."""
    begin(one)
    folder = run_folder(tmp_path, one, monkeypatch)
    take(folder)
    one.look(gone=True)
    clock.now_s += SETTLE_S + 1
    assert one.look(gone=True) == "running"
    let_go(folder)
    report().save(folder / "report.json")
    one.look(gone=True)
    clock.now_s += SETTLE_S
    assert one.look(gone=True) == "ended"


def test_an_earlier_result_in_the_same_folder_is_not_this_runs(
    tmp_path: Path, one: Followed, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`resume=true` goes on where an earlier run was killed, whose report stands there."""
    begin(one)
    (tmp_path / "0_case").mkdir()
    report().save(tmp_path / "0_case" / "report.json")
    run_folder(tmp_path, one, monkeypatch)
    one.look(gone=True)
    clock.now_s += SETTLE_S
    assert one.look(gone=True) == "lost"


def test_a_case_done_before_has_its_earlier_result(
    tmp_path: Path, one: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(one)
    (tmp_path / "0_case").mkdir()
    report().save(tmp_path / "0_case" / "report.json")
    run_folder(tmp_path, one, monkeypatch, done=True)
    assert one.report() is not None


def test_a_second_job_of_a_case_starts_anew(tmp_path: Path, one: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(one)
    run_folder(tmp_path, one, monkeypatch)
    one.files.end(1, 1.0)
    begin(one)
    assert one.files.ended is None and one.files.placed is None


def test_outside_a_sweep_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    tell_place(tmp_path, False)
    assert [*tmp_path.iterdir()] == []
