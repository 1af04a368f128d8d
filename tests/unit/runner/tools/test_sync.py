from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from tracking_samples import (
    all_runs,
    bad_server,
    client_of,
    free_port,
    fresh_database,
    make_report,
    make_run,
    wait_for,
)

from runner.core.events import EventWriter, Name
from runner.core.lock import let_go
from runner.record.report import load_report
from runner.tools.sync import main
from runner.tracking import declare_sweep, store, write_parent
from runner.tracking.cursor import LOCK, load_cursor

os.environ.update(store.QUIET)

FOLLOWER = """
import sys, time
from pathlib import Path
from runner.tracking import Uploader, write_parent
folder = Path(sys.argv[1])
write_parent(folder)
with Uploader(folder) as uploader:
    uploader.flush()
    time.sleep(600)
"""


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), folder / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return folder


def test_all_runs_below_outputs_are_filed_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, status in (("a", "done"), ("b", "failed")):
        make_report(make_run(root, name=name), status=status)
    assert main([]) == 0
    assert {run.info.status for run in all_runs(root)} == {"FINISHED", "FAILED"}
    told = capsys.readouterr().out
    assert "uploaded  outputs/2026-01-02/a: done" in told and "2 uploaded" in told
    assert main([]) == 0, "the copies among the artifacts are no runs"
    assert "2 already there" in capsys.readouterr().out
    assert len(all_runs(root)) == 2


def test_nothing_to_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    assert "no runs to file" in capsys.readouterr().out


def test_a_running_run_is_left_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(root)
    write_parent(folder)
    assert main([str(folder)]) == 0
    assert "skipped" in capsys.readouterr().out
    assert not (folder / "report.json").exists() and load_cursor(folder) is None
    make_report(folder)
    with FileLock(folder / LOCK):
        assert main([str(folder)]) == 0
    assert "skipped" in capsys.readouterr().out


def test_a_run_whose_parent_was_killed_is_repaired(root: Path) -> None:
    folder = make_run(root)
    EventWriter(folder / "events" / "parent.log", rank=-1).emit(Name.LAUNCH_TRAINING)
    with subprocess.Popen([sys.executable, "-c", FOLLOWER, str(folder)]) as parent:
        wait_for(lambda: (cursor := load_cursor(folder)) is not None and bool(cursor.offsets))
        assert main([str(folder)]) == 0
        assert all_runs(root)[0].info.status == "RUNNING", "its parent is alive"
        parent.send_signal(signal.SIGKILL)
    assert main([str(folder)]) == 0
    (run,) = all_runs(root)
    assert run.info.status == "KILLED"
    assert run.data.tags["touchstone.exit_code"] == "130"
    assert load_report(folder / "report.json").status == "killed"
    points = client_of(root).get_metric_history(run.info.run_id, "train/loss")
    assert len(points) == 6


def test_a_bad_folder(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = make_run(root, name="good")
    make_report(good)
    assert main([str(tmp_path / "nowhere"), str(good)]) == 2
    told = capsys.readouterr().out
    assert "bad folder" in told and "1 uploaded" in told
    (good / "run.yaml").write_text("task: 3\n")
    assert main([str(good)]) == 2
    damaged = make_run(root, name="damaged")
    make_report(damaged)
    (damaged / "tracking.json").write_text("{")
    assert main([str(damaged)]) == 2
    assert "Delete it to file the run anew" in capsys.readouterr().out


def test_a_server_that_does_not_answer(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    for name in ("a", "b"):
        make_report(make_run(root, name=name))
    assert main(["--uri", uri]) == 1
    told = capsys.readouterr().out
    assert "2 not filed" in told
    assert f"No answer from {uri}. Start the server" in told
    assert main([]) == 0
    assert len(all_runs(root)) == 2


def test_a_server_with_errors_is_asked_for_one_run_only(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        make_report(make_run(root, name=name))
    monkeypatch.setattr("runner.tools.sync.LIMITS", store.http_limits(timeout_s=2, retries=0))
    with bad_server("error") as server:
        assert main(["--uri", server.uri]) == 1
        assert server.requests == 2, "the run's first request, and the question whether the server answers at all"


def test_runs_can_be_filed_elsewhere(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(root / "mlflow.db", other)
    folder = make_run(root)
    make_report(folder)
    there = f"sqlite:///{other / 'mlflow.db'}"
    assert main([]) == main(["--uri", there]) == 0
    assert len(all_runs(root)) == len(all_runs(other)) == 1
    capsys.readouterr()
    assert main([]) == 0
    assert f"already there  outputs/2026-01-02/10-00-00_case: at {there}" in capsys.readouterr().out
    assert main(["--uri", f"sqlite:///{root / 'mlflow.db'}"]) == 0
    (run,) = all_runs(root)
    assert len(client_of(root).get_metric_history(run.info.run_id, "train/loss")) == 6
    assert len(client_of(root).get_metric_history(run.info.run_id, "throughput/steady")) == 1


def test_a_run_that_was_deleted_by_hand_stays_deleted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(root)
    make_report(folder)
    assert main([]) == 0
    client_of(root).delete_run(all_runs(root)[0].info.run_id)
    assert main([]) == 0
    assert all_runs(root) == []
    assert "1 already there" in capsys.readouterr().out


def test_a_sweep_whose_parent_was_killed_is_closed(root: Path) -> None:
    sweep = root / "2026-01-02" / "sweep"
    declare_sweep(sweep, "sweep")
    make_report(make_run(root, name="sweep/0_case"))
    assert main([]) == 0
    status = {run.info.run_name: run.info.status for run in all_runs(root)}
    assert status["sweep"] == "RUNNING", "its process, this one, is alive"
    let_go(sweep)
    make_run(root, name="sweep/1_case")
    assert main([]) == 0
    status = {run.info.run_name: run.info.status for run in all_runs(root)}
    assert status["sweep"] == "KILLED"
