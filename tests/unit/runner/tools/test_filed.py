"""`python -m runner.sync` over runs that are filed: it knows so from their folders, and never takes one for filed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from report_samples import report
from tracking_samples import all_runs, client_of, free_port, fresh_database, make_report, make_run

from runner.core.lock import let_go
from runner.results.index import contents, file
from runner.tools import filed as filed_command
from runner.tools import sync
from runner.tools.sync import main
from runner.tracking import declare_sweep, store
from runner.tracking.cursor import Cursor, load_cursor
from runner.tracking.sweep import finish_sweep
from runner.tracking.uploader import Uploader

os.environ.update(store.QUIET)
RUNS = ("a", "b", "c")


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs that are filed, and an index that knows them."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), folder / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(file, "LEAST", 1)
    monkeypatch.setattr(contents, "COARSE_NS", 0)
    for number, name in enumerate(RUNS):
        make_report(make_run(folder, name=name), speed=8.0 + number)
    assert main([]) == 0
    assert main([]) == 0
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Folders that were looked into, and sweeps that were closed, each by its name."""
    names: list[str] = []

    class Noting(Uploader):
        def __init__(self, run_folder: Path, *, uri: str | None = None) -> None:
            names.append(run_folder.name)
            super().__init__(run_folder, uri=uri)

    def finish(folder: Path, *, uri: str | None = None) -> bool:
        names.append(folder.name)
        return finish_sweep(folder, uri=uri)

    monkeypatch.setattr(sync, "Uploader", Noting)
    monkeypatch.setattr(sync, "finish_sweep", finish)
    return names


def test_runs_that_are_filed_are_not_looked_into(
    root: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main([]) == 0 and asked == []
    told = capsys.readouterr().out
    assert [line.strip() for line in told.splitlines() if line.strip()] == [
        *(f"already there  outputs/2026-01-02/{name}" for name in RUNS),
        "3 already there",
    ]
    make_report(make_run(root, name="d"))
    assert main([]) == 0 and asked == ["d"]
    assert "1 uploaded" in capsys.readouterr().out
    assert main([]) == 0 and asked == ["d"]


def test_many_are_counted_in_one_line(
    root: Path, asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "LISTED", 2)
    capsys.readouterr()
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "already there  3 runs\n" in told and "3 already there" in told and "2026-01-02/a" not in told


def test_a_report_that_is_another_is_filed_anew(root: Path, asked: list[str]) -> None:
    make_report(root / "2026-01-02/a", speed=99.0)
    assert main([]) == 0 and asked == ["a"]
    (run,) = [run for run in all_runs(root) if run.data.metrics["throughput/steady"] == 99.0]
    assert len(client_of(root).get_metric_history(run.info.run_id, "throughput/steady")) == 2


def test_a_report_that_was_changed_by_hand_is_an_error_each_time(
    root: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / "2026-01-02/a/report.json"
    path.write_text(path.read_text().replace("8.0", "9.0"))
    for _ in range(2):
        assert main([]) == 2
        assert "was changed after it was written" in capsys.readouterr().out
    cursor = load_cursor(path.parent)
    assert cursor is not None
    cursor.uri = "http://elsewhere"
    cursor.save(path.parent)
    assert main([]) == 2, "also where it was filed elsewhere"


def test_what_a_local_store_has_lost_is_filed_anew(root: Path, asked: list[str]) -> None:
    cursor = load_cursor(root / "2026-01-02/b")
    assert cursor is not None
    with closing(sqlite3.connect(root / "mlflow.db")) as opened, opened:
        for table in ("params", "tags", "metrics", "latest_metrics"):
            opened.execute(f"delete from {table} where run_uuid = ?", (cursor.run_id,))
        opened.execute("delete from runs where run_uuid = ?", (cursor.run_id,))
    assert main([]) == 0 and asked == ["b"]
    assert len(all_runs(root)) == 3
    (root / "mlflow.db").unlink()
    assert main([]) == 0 and sorted(asked) == ["a", "b", "b", "c"]
    assert len(all_runs(root)) == 3


def test_a_run_in_a_stores_trash_is_held(root: Path, asked: list[str]) -> None:
    client_of(root).delete_run(all_runs(root)[0].info.run_id)
    assert main([]) == 0 and asked == []


def test_a_server_is_asked_only_when_that_is_wanted(
    root: Path, asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs that were filed at a server, which is down now."""
    uri = f"http://127.0.0.1:{free_port()}"
    for name in RUNS:
        folder = root / "2026-01-02" / name
        cursor = load_cursor(folder)
        assert cursor is not None
        cursor.uri = uri
        cursor.save(folder)
    monkeypatch.setattr(sync, "LIMITS", store.http_limits(timeout_s=2, retries=0))
    assert main(["--uri", f"http://user:word@{uri.removeprefix('http://')}"]) == 0 and asked == []
    assert main([]) == 0 and asked == []
    assert f"already there  outputs/2026-01-02/a: at {uri}" in capsys.readouterr().out
    assert main(["--uri", uri, "--recheck"]) == 1 and asked == list(RUNS)
    assert "No answer from" in capsys.readouterr().out


def test_what_is_not_finished_is_looked_into(root: Path, asked: list[str]) -> None:
    folder = root / "2026-01-02/c"
    cursor = load_cursor(folder)
    assert cursor is not None
    cursor.finished = False
    cursor.save(folder)
    assert main([]) == 0 and asked == ["c"]
    asked.clear()
    (folder / "tracking.json").unlink()
    assert main([]) == 0 and asked == ["c"]
    asked.clear()
    Cursor(uri=None).save(folder)
    assert main([]) == 0 and asked == ["c"]


def test_a_damaged_file_is_said_though_the_index_knows_better_days(
    root: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, broken in (("a", "tracking.json"), ("b", "run.yaml"), ("c", "report.json")):
        (root / "2026-01-02" / name / broken).write_text("{")
    for _ in range(2):
        capsys.readouterr()
        assert main([]) == 2
        assert capsys.readouterr().out.count("this folder cannot be read") == 3


def test_a_case_that_was_never_valid_is_skipped(
    root: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(root, name="d")
    (folder / "run.yaml").write_text("task: 3\n")
    report(identity=None).save(folder / "report.json")
    for _ in range(2):
        assert main([]) == 0 and asked == []
        assert "1 skipped" in capsys.readouterr().out


def test_a_killed_runs_report_is_made_with_its_pictures(root: Path, asked: list[str]) -> None:
    folder = make_run(root, name="d")
    assert main([]) == 0 and asked == ["d"]
    made = json.loads((folder / "report.json").read_text())
    assert made["status"] == "killed" and any(name.startswith("plots/") for name in made["files"])


def test_sweeps_that_are_closed_are_left_alone_until_their_cases_change(root: Path, asked: list[str]) -> None:
    sweep = root / "2026-01-02" / "sweep"
    declare_sweep(sweep, "sweep")
    make_report(make_run(root, name="sweep/0_case"))
    let_go(sweep)
    assert main([]) == 0 and asked == ["0_case", "sweep"]
    asked.clear()
    assert main([]) == 0 and asked == []
    make_report(sweep / "0_case", status="failed")
    assert main([]) == 0 and asked == ["0_case", "sweep"]
    status = {run.info.run_name: run.info.status for run in all_runs(root)}
    assert status["sweep"] == "FAILED"
    again = make_report(sweep / "0_case")
    with Uploader(sweep / "0_case") as uploader:
        uploader.finish(again)  # as the run itself does
    assert main([]) == 0 and asked == ["0_case", "sweep", "sweep"]
    status = {run.info.run_name: run.info.status for run in all_runs(root)}
    assert status["sweep"] == "FINISHED"
    asked.clear()
    (sweep / "1_case").mkdir()
    shutil.copy(sweep / "0_case/run.yaml", sweep / "1_case/run.yaml")
    assert main([]) == 0 and asked == ["sweep"], "a case that was killed before its first event"
    status = {run.info.run_name: run.info.status for run in all_runs(root)}
    assert status["sweep"] == "KILLED"


def test_a_store_that_cannot_be_read_is_asked_in_mlflows_way(
    root: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filed_command, "_runs_in", lambda address: frozenset())
    assert main([]) == 0 and asked == list(RUNS)
