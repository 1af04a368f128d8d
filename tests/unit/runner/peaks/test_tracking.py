from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout
from tracking_samples import (
    START_MS,
    add_events,
    all_runs,
    bad_server,
    client_of,
    free_port,
    fresh_database,
    make_case,
    make_report,
    make_run,
    wait_for,
)

from runner.config.schema import Tracking, case_from_dict
from runner.core.events import Event, EventWriter, Name
from runner.core.lock import let_go
from runner.core.owner import parent_state, write_parent
from runner.record.report import Figure
from runner.tracking import Tracker, Uploader, close_sweep, declare_sweep, describe, store
from runner.tracking.cursor import Cursor, load_cursor
from runner.tracking.points import event_points, figure_points

os.environ.update(store.QUIET)


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), folder / "mlflow.db")
    return folder


def history(root: Path, key: str) -> list[tuple[int, float]]:
    (run,) = all_runs(root)
    return sorted((point.step, point.value) for point in client_of(root).get_metric_history(run.info.run_id, key))


def file_run(folder: Path, report: Any) -> None:
    with Uploader(folder) as uploader:
        uploader.finish(report)


# --- points ----------------------------------------------------------------------------------------------------


def event(name: str, **value: Any) -> Event:
    return Event(name=name, value=value, rank=0, time_ms=5, monotonic_s=1.0)


def test_what_is_null_or_no_number_makes_no_point() -> None:
    nothing = event("STEP_END", step=3, loss=None, learning_rate=math.nan, samples_per_second=True)
    assert event_points([nothing, event("STEP_END", step=None, loss=1.0), event("WARNING", message="x")]) == []
    assert event_points([event("STEP_END", step=3, loss=0.0)]) == [("train/loss", 0.0, 5, 3)]


def test_evaluations_do_not_take_the_name_of_the_reports_figure() -> None:
    points = event_points([event("EVALUATE", step=9, quality={"mAP@0.5": 0.3}, seconds=None)])
    assert points == [("eval/mAP_0.5", 0.3, 5, 9)]
    assert event_points([event("METRICS", step=2, metrics={"quality/x": 1})]) == [("log/quality/x", 1.0, 5, 2)]


def test_figures_keep_their_names_and_nulls_are_left_out() -> None:
    figures = {
        "energy/device_j": Figure(value=None, unit="J", reason="no sensor"),
        "step/cv": Figure(value=0, unit="1"),
    }
    assert figure_points(figures, time_ms=7) == [("step/cv", 0.0, 7, 0)]


# --- filing ----------------------------------------------------------------------------------------------------


def test_a_run_is_filed_whole(root: Path) -> None:
    folder = make_run(root)
    (folder / "plots").mkdir()
    (folder / "plots" / "loss.png").write_bytes(b"png")
    file_run(folder, make_report(folder))
    (run,) = all_runs(root)
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", START_MS, START_MS + 6000)
    assert run.info.run_name == "bert fp32 converge tiny"
    metrics = run.data.metrics
    assert metrics["throughput/steady"] == 8.25
    assert metrics["quality/mlm_accuracy"] == 0.6
    assert metrics["run/emulated"] == 0.0
    assert "energy/device_j" not in metrics
    assert history(root, "train/loss") == [(step, 1 / step) for step in range(1, 7)]
    assert [step for step, _ in history(root, "train/learning_rate")] == [2, 3, 4, 5, 6]
    assert history(root, "eval/mlm_accuracy") == [(0, 0.01), (3, 0.1 * 3), (6, 0.1 * 6)]
    assert run.data.params["model.train.optimizer.betas"] == "[0.9, 0.999]"
    assert not any(key.startswith(("tracking", "run.")) for key in run.data.params)
    expected = {"vendor": "cpu", "chip": "Xeon", "division": "closed", "emulated": "false", "scale": "tiny"}
    expected |= {"model": "bert", "precision": "fp32", "topology": "single", "task": "converge", "torch": "2.9.0"}
    expected |= {"lightning": "2.6.0", "python": "3.11.7", "touchstone.identity": make_case(root).identity}
    assert expected.items() <= run.data.tags.items()
    stored = Path(run.info.artifact_uri.removeprefix("file://"))
    assert root / "mlartifacts" in stored.parents
    names = {path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file()}
    assert names == {"run.yaml", "report.json", "worker.log", "steps.csv", "events/rank0.log", "plots/loss.png"}


def test_flush_sends_only_what_is_new_and_no_torn_line(root: Path) -> None:
    folder = make_run(root, steps=2)
    with Uploader(folder) as uploader:
        assert uploader.flush() == 2 + 3 + 2
        assert uploader.flush() == 0
        add_events(folder, 3, 3, torn=True)
        assert uploader.flush() == 3 + 2
        assert uploader.flush() == 0
    assert all_runs(root)[0].info.status == "RUNNING"


def test_more_points_than_one_request_takes(root: Path) -> None:
    folder = make_run(root, steps=700)
    file_run(folder, make_report(folder))
    assert len(history(root, "train/loss")) == 700


@pytest.mark.parametrize(("status", "stored"), [("failed", "FAILED"), ("killed", "KILLED")])
def test_status(root: Path, status: str, stored: str) -> None:
    folder = make_run(root)
    file_run(folder, make_report(folder, status=status, warnings=("It was warm.",)))
    (run,) = all_runs(root)
    assert run.info.status == stored
    assert run.data.tags["touchstone.error"] == "DivergedError"
    assert "It was warm." in run.data.tags["mlflow.note.content"]


def test_a_killed_run_that_is_resumed_runs_again(root: Path) -> None:
    folder = make_run(root)
    file_run(folder, make_report(folder, status="killed"))
    add_events(folder, 7, 9)
    with Uploader(folder) as uploader:
        uploader.flush()
        assert all_runs(root)[0].info.status == "RUNNING"
    file_run(folder, make_report(folder, speed=9.0))
    (run,) = all_runs(root)
    assert (run.info.status, run.data.metrics["throughput/steady"]) == ("FINISHED", 9.0)
    assert len(history(root, "train/loss")) == 9


def test_repeats_are_filed_with_their_run(root: Path) -> None:
    folder = make_run(root)
    shutil.rmtree(folder / "events")
    for number in (1, 2):
        part = folder / "repeats" / str(number)
        part.mkdir(parents=True)
        shutil.copy(folder / "run.yaml", part)
        add_events(part, 1, number)
    file_run(folder, make_report(folder))
    assert history(root, "repeats/2/train/loss") == [(1, 1.0), (2, 0.5)]
    assert len(history(root, "repeats/1/train/loss")) == 1
    (run,) = all_runs(root)
    assert (Path(run.info.artifact_uri.removeprefix("file://")) / "repeats" / "2" / "events" / "rank0.log").exists()


# --- crashes ---------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """Stands for the end of the process."""


def crash_after(function: Callable[..., Any], number: int, counter: list[int]) -> Callable[..., Any]:
    """`function`, whose `number`-th call does its work and then ends the process."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        counter.append(1)
        if len(counter) == number:
            raise Crash
        return result

    return wrapped


def crash_before(function: Callable[..., Any], number: int, counter: list[int]) -> Callable[..., Any]:
    """`function`, whose `number`-th call ends the process instead."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        counter.append(1)
        if len(counter) == number:
            raise Crash
        return function(*arguments, **named)

    return wrapped


@pytest.mark.parametrize(
    ("owner", "method", "crash"),
    [(Uploader, "_request", crash_after), (Cursor, "save", crash_before), (Cursor, "save", crash_after)],
    ids=["after-each-request", "before-each-cursor-write", "after-each-cursor-write"],
)
def test_no_crash_makes_a_duplicate(
    root: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str, crash: Callable[..., Any]
) -> None:
    """The process ends at each place in turn, and the next one takes over; in the end all is there, once."""
    folder = make_run(root)
    report = make_report(folder)
    crashes = 0
    for number in range(1, 50):
        counter: list[int] = []
        # Each round starts where nothing but run, points and figures of the rounds before is there.
        with monkeypatch.context() as patch:
            patch.setattr(owner, method, crash(getattr(owner, method), number, counter))
            try:
                file_run(folder, report)
            except Crash:
                crashes += 1
        cursor = load_cursor(folder)
        if cursor is not None and cursor.finished and len(counter) < number:
            break
        if cursor is not None:  # forget what later rounds are to do again, as if it had never been noted
            cursor.offsets, cursor.finished, cursor.described = {}, False, False
            cursor.save(folder)
    assert crashes >= 3
    (run,) = all_runs(root)
    assert run.info.status == "FINISHED"
    assert len(history(root, "train/loss")) == 6
    assert len(history(root, "eval/mlm_accuracy")) == 3
    assert history(root, "throughput/steady") == [(0, 8.25)]


def test_a_report_that_gained_a_warning_has_its_figures_once(root: Path) -> None:
    folder = make_run(root)
    file_run(folder, make_report(folder))
    with Uploader(folder) as uploader:
        changed = make_report(folder, warnings=("It could not be filed.",))
        assert not uploader.filed(changed)
        uploader.finish(changed)
        assert uploader.filed(changed)
    assert history(root, "throughput/steady") == [(0, 8.25)]


def test_a_rebuilt_report_replaces_figures_even_by_smaller_ones(root: Path) -> None:
    folder = make_run(root)
    file_run(folder, make_report(folder, speed=9.0))
    time.sleep(0.01)
    file_run(folder, make_report(folder, speed=8.0))
    assert all_runs(root)[0].data.metrics["throughput/steady"] == 8.0


def test_a_store_that_lost_the_run_gets_it_again(root: Path) -> None:
    folder = make_run(root)
    file_run(folder, make_report(folder))
    (run,) = all_runs(root)
    with Uploader(folder) as uploader:
        uploader._cursor = Cursor()
    cursor = load_cursor(folder)
    assert cursor is not None
    cursor.run_id = "0" * 32
    cursor.save(folder)
    file_run(folder, make_report(folder))
    assert [one.info.run_id for one in all_runs(root)] == [run.info.run_id], "found by its run_uid, not created anew"


def test_only_one_process_files_a_folder(root: Path) -> None:
    folder = make_run(root)
    with Uploader(folder), pytest.raises(Timeout), Uploader(folder):
        pass


@pytest.mark.heavy
def test_two_processes_race_for_a_fresh_database(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "outputs", name=name) for name in ("a", "b", "c")]
    for folder in folders:
        make_report(folder)
    run = [sys.executable, "-m", "runner.sync"]
    started = [subprocess.Popen([*run, str(folder)], stdout=subprocess.DEVNULL) for folder in folders]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert len(all_runs(tmp_path / "outputs")) == 3


# --- addresses and credentials ---------------------------------------------------------------------------------


def test_the_default_store_lies_under_run_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "there" / "outputs" / "2026-01-02" / "run"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    relative = case_from_dict(make_case(tmp_path).to_dict() | {"run": {"root": "outputs"}})
    assert store.store_uri(folder, relative) == f"sqlite:///{tmp_path}/there/outputs/mlflow.db"
    assert store.store_uri(tmp_path / "x", relative) == f"sqlite:///{tmp_path}/outputs/mlflow.db"


def test_credentials_are_shown_nowhere(root: Path) -> None:
    secret = f"http://user:geheim@127.0.0.1:{free_port()}/base?token=geheim"
    folder = make_run(root, f"tracking.uri='{secret}'")
    assert "geheim" not in (folder / "run.yaml").read_text()
    tracker = Tracker(folder, make_case(root).tracking)
    tracker.start()
    warning = tracker.finish(make_report(folder))
    assert warning is not None and "geheim" not in warning
    with Uploader(folder, uri=f"sqlite:///{root / 'mlflow.db'}") as uploader:
        uploader.finish(make_report(folder))
    (run,) = all_runs(root)
    stored = Path(run.info.artifact_uri.removeprefix("file://"))
    assert "geheim" not in (stored / "run.yaml").read_text()
    assert "geheim" not in (folder / "tracking.json").read_text()
    assert not any("geheim" in value for value in run.data.params.values())
    assert store.public_uri(secret) in (stored / "run.yaml").read_text()


# --- the tracker -----------------------------------------------------------------------------------------------


def test_tracker_follows_a_run(root: Path) -> None:
    folder = make_run(root, steps=2)
    tracker = Tracker(folder, Tracking(name="mlflow", flush_s=0.05))
    tracker.start()
    wait_for(lambda: (cursor := load_cursor(folder)) is not None and bool(cursor.offsets))
    add_events(folder, 3, 4)
    wait_for(lambda: len(history(root, "train/loss")) == 4)
    assert all_runs(root)[0].info.status == "RUNNING"
    add_events(folder, 5, 5)
    assert tracker.finish(make_report(folder)) is None
    (run,) = all_runs(root)
    assert run.info.status == "FINISHED"
    assert len(history(root, "train/loss")) == 5
    assert {key: run.data.tags[key] for key in describe.git_tags()} == describe.git_tags()


def test_tracker_sleeps_between_flushes(root: Path) -> None:
    folder = make_run(root)
    tracker = Tracker(folder, Tracking(name="mlflow", flush_s=30))
    waits: list[float] = []
    tracker._ending.wait = lambda seconds, wait=tracker._ending.wait: waits.append(seconds) or wait(seconds)
    tracker.start()
    wait_for(lambda: bool(waits))
    time.sleep(1.0)
    assert waits == [30]
    assert tracker.finish(make_report(folder)) is None


@pytest.mark.parametrize("way", ["error", "garbage", "hang", "drip", "close"])
@pytest.mark.parametrize("after", [0, 4], ids=["at-once", "in-the-middle"])
def test_no_server_holds_up_a_run(root: Path, way: Any, after: int) -> None:
    with bad_server(way, after=after) as server:
        folder = make_run(root, f"tracking.uri={server.uri}")
        before = dict(os.environ)
        tracker = Tracker(folder, Tracking(name="mlflow", flush_s=0.1), grace_s=1.0)
        tracker.start()
        time.sleep(0.4)
        began = time.monotonic()
        warning = tracker.finish(make_report(folder))
        assert time.monotonic() - began < 20, "the server hangs for a minute"
        assert dict(os.environ) == before
        assert server.requests > after
    assert warning is not None and f"python -m runner.sync {folder}" in warning
    cursor = load_cursor(folder)
    assert cursor is None or not cursor.finished


def test_after_the_grace_no_further_request_is_made(root: Path) -> None:
    with bad_server("hang", after=4) as server:
        folder = make_run(root, f"tracking.uri={server.uri}")
        tracker = Tracker(folder, Tracking(name="mlflow", flush_s=0.1), grace_s=0.1)
        tracker.start()
        wait_for(lambda: server.requests == 5)
        assert tracker.finish(make_report(folder)) is not None
        requests = server.requests
        tracker._thread.join(20)
        assert not tracker._thread.is_alive()
        assert server.requests <= requests + 1, "one retry of the request that hung"


def test_a_server_that_refuses(root: Path) -> None:
    folder = make_run(root, f"tracking.uri=http://127.0.0.1:{free_port()}")
    tracker = Tracker(folder, Tracking(name="mlflow"))
    tracker.start()
    began = time.monotonic()
    warning = tracker.finish(make_report(folder))
    assert time.monotonic() - began < 60
    assert warning is not None and "the run could not be filed" in warning


def test_a_missing_mlflow_is_a_warning(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    folder = make_run(root)
    tracker = Tracker(folder, Tracking(name="mlflow"))
    tracker.start()
    warning = tracker.finish(make_report(folder))
    assert warning is not None and "ModuleNotFoundError" in warning
    assert not [thread for thread in threading.enumerate() if thread.name == "tracker" and thread is tracker._thread]


# --- sweeps ----------------------------------------------------------------------------------------------------


def test_a_sweep_is_the_parent_of_its_cases(root: Path) -> None:
    sweep = root / "2026-01-02" / "sweep"
    declare_sweep(sweep, "two of them")
    folders = [make_run(root, name=f"sweep/{number}_case") for number in range(2)]
    for folder, status in zip(folders, ("done", "failed"), strict=True):
        file_run(folder, make_report(folder, status=status))
    runs = {run.info.run_name: run for run in all_runs(root)}
    parent = runs["two of them"]
    children = [run for run in all_runs(root) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 2 and len(all_runs(root)) == 3
    assert parent.info.status == "RUNNING"
    assert close_sweep(sweep) is None
    assert client_of(root).get_run(parent.info.run_id).info.status == "FAILED"
    cursor = load_cursor(folders[1])
    assert cursor is not None and cursor.parent_run_id == parent.info.run_id


def test_a_sweep_of_which_nothing_was_filed_is_closed_in_silence(root: Path) -> None:
    declare_sweep(root / "sweep", "none")
    make_run(root, name="../sweep/0_case")
    assert close_sweep(root / "sweep") is None


# --- who looks after a folder ----------------------------------------------------------------------------------


def test_parent_state(tmp_path: Path) -> None:
    assert parent_state(tmp_path) == "gone"
    write_parent(tmp_path)
    assert parent_state(tmp_path) == "alive"
    let_go(tmp_path)
    assert parent_state(tmp_path) == "gone", "this process still runs, but no longer looks after the folder"
    pid, _ = (tmp_path / "parent.pid").read_text().split()
    (tmp_path / "parent.pid").write_text(f"{pid} elsewhere.example\n")
    assert parent_state(tmp_path) == "elsewhere"
    (tmp_path / "parent.pid").write_text("half")
    with pytest.raises(ValueError, match="malformed"):
        parent_state(tmp_path)


def test_an_ended_child_that_nobody_waited_for_is_gone(tmp_path: Path) -> None:
    code = "import sys, pathlib; from runner.core.owner import write_parent; write_parent(pathlib.Path(sys.argv[1]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    wait_for(lambda: (tmp_path / "parent.pid").exists() and parent_state(tmp_path) == "gone")
    assert process.returncode is None, "nobody has collected it"
    process.wait()


def test_git_tells_of_our_own_source_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git = ["git", "-C", str(checkout), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    ours, foreign = checkout / "describe.py", checkout / "site-packages" / "describe.py"
    ours.write_text("")
    foreign.parent.mkdir()
    foreign.write_text("")
    for arguments in (["init", "-q"], ["add", "describe.py"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *arguments], check=True)
    monkeypatch.setattr(describe, "__file__", str(ours))
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert describe.git_tags() == {"mlflow.source.git.commit": commit, "touchstone.git_dirty": "false"}
    ours.write_text("changed")
    assert describe.git_tags()["touchstone.git_dirty"] == "true"
    monkeypatch.setattr(describe, "__file__", str(foreign))
    assert describe.git_tags() == {}


def test_log_of_modules_is_filed(root: Path) -> None:
    folder = make_run(root, steps=1)
    writer = EventWriter(folder / "events" / "rank0.log", rank=0)
    writer.emit(Name.METRICS, {"step": 4, "metrics": {"loss_box": 0.25, "loss_mask": math.nan}})
    writer.close()
    file_run(folder, make_report(folder))
    assert history(root, "log/loss_box") == [(4, 0.25)]
    assert "log/loss_mask" not in all_runs(root)[0].data.metrics
