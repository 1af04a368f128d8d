"""A run in the store: its name, tags, parameters, data, description and files, and the experiment's views."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from tracking_samples import all_runs, client_of, fresh_database, make_report, make_run

from runner.config import schema
from runner.config.schema import Tracking
from runner.core.events import EventWriter, Name
from runner.record.run_record import PARENT_LOG
from runner.tracking import Tracker, Uploader
from runner.tracking.cursor import load_cursor
from runner.tracking.found.local_store import find_local
from runner.tracking.found.parse import parse
from runner.tracking.found.remote_store import find_remote
from runner.tracking.page.saved_views import KIND_TAG, TAG, VIEWS
from runner.tracking.sweep import declare_sweep

SMALLER = {"key": "model.train.batch_size", "reference": 32, "value": 2, "allowed": True}


@pytest.fixture
def root(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    shutil.copy(fresh_database(tmp_path_factory.getbasetemp()), folder / "mlflow.db")
    return folder


def file(folder: Path, **options: Any) -> None:
    with Uploader(folder) as uploader:
        uploader.finish(make_report(folder, **options))


def test_a_run_is_told_apart_found_and_read(root: Path) -> None:
    folder = make_run(root, "task=train", "precision=bf16")
    told = {"identity": "x", "division": {"name": "closed", "changed": [SMALLER]}}
    EventWriter(folder / "events" / PARENT_LOG, rank=-1).emit(Name.SUBMIT_INFO, told)
    (folder / "plots").mkdir()
    for name in ("speed.png", "speed.svg"):
        (folder / "plots" / name).write_bytes(b"picture")
    file(folder, warnings=("Not steady: it slowed down.",))
    (run,) = all_runs(root)
    assert run.info.run_name == "bert bf16 train tiny batch_size=2"
    tags, params = run.data.tags, run.data.params
    assert tags["touchstone.run_path"] == "2026-01-02/10-00-00_case"
    assert (tags["model"], tags["precision"], tags["emulated"]) == ("bert", "bf16", "false")
    assert (tags["quality"], tags["publishable"]) == ("mlm_accuracy 0.6000", "false")
    assert "Not steady: it slowed down." in tags["mlflow.note.content"]
    assert params["precision.name"] == "bf16" and params["model.architecture.layers"]
    assert not [key for key in params if key.startswith(("model.infer", "vendor.tasks", "load."))]
    assert not [key for key, value in params.items() if value in ("null", "", "[]", "{}")]
    files = {item.path for item in client_of(root).list_artifacts(run.info.run_id, "plots")}
    assert files == {"plots/speed.png", "plots/speed.svg"}
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "sample data for bert" and data.tags[0].value == "training"


def test_reasons_of_nulls_that_matter_are_tags(root: Path) -> None:
    folder = make_run(root, "task=train")
    report = make_report(folder)
    report.case["task"] = "train"
    figure = report.figures["throughput/steady"]
    figure.value, figure.reason = None, "the window was too short"
    report.save(folder / "report.json")
    with Uploader(folder) as uploader:
        uploader.finish(report)
    (run,) = all_runs(root)
    assert run.data.tags["reason.throughput/steady"] == "the window was too short"
    assert "throughput/steady" not in run.data.metrics


def test_what_a_later_report_does_not_say_any_more_is_taken_back(root: Path) -> None:
    folder = make_run(root, "task=train")
    file(folder, status="failed")
    (before,) = all_runs(root)
    assert before.data.tags["touchstone.error"] == "DivergedError"
    assert before.data.metrics["quality/mlm_accuracy"] == 0.6
    report = make_report(folder, speed=9.0)
    figure = report.figures["quality/mlm_accuracy"]
    figure.value, figure.reason = None, "no evaluation"
    report.save(folder / "report.json")
    for _ in range(2):  # sending it again changes nothing
        with Uploader(folder) as uploader:
            uploader.finish(report)
    (run,) = all_runs(root)
    assert not {"touchstone.error", "quality"} & run.data.tags.keys()
    assert math.isnan(run.data.metrics["quality/mlm_accuracy"]) and run.data.metrics["throughput/steady"] == 9.0
    for text, found in (("quality/mlm_accuracy < 1", 0), ("throughput/steady = 9", 1)):
        assert len(find_local(root / "mlflow.db", parse(text), limit=9)) == found
        assert len(find_remote(f"sqlite:///{root / 'mlflow.db'}", parse(text), limit=9)) == found


def test_an_emulated_run_says_so_first(root: Path) -> None:
    file(make_run(root, "task=train", "vendor=nvidia", "emulate=true"))
    (run,) = all_runs(root)
    assert run.info.run_name == "EMULATED bert fp32 nvidia train tiny"
    assert run.data.tags["emulated"] == "true"


def test_the_experiment_offers_views_and_keeps_what_people_changed(root: Path) -> None:
    file(make_run(root, "task=train", name="a"))
    client = client_of(root)
    number = client.get_experiment_by_name("touchstone").experiment_id
    tags = client.get_experiment(number).tags
    assert {KIND_TAG, *(f"{TAG}{view.id}" for view in VIEWS)} <= tags.keys()
    mine = json.dumps(json.loads(tags[f"{TAG}touchstone"]) | {"name": "Mine", "updatedAt": 1})
    client.set_experiment_tag(number, f"{TAG}touchstone", mine)
    file(make_run(root, "task=train", name="b"))
    assert client.get_experiment(number).tags[f"{TAG}touchstone"] == mine


def test_in_a_sweep_names_begin_with_what_varies(root: Path) -> None:
    folders = [make_run(root, "task=train", f"precision={one}", name=one) for one in ("fp32", "bf16")]
    cases = [schema.load_case(folder) for folder in folders]
    declare_sweep(root / "2026-01-02", "fp32,bf16 10-00-00", cases)
    for folder in folders:
        file(folder)
    names = {run.info.run_name for run in all_runs(root)}
    assert names == {"fp32,bf16 10-00-00", "fp32 bert train tiny", "bf16 bert train tiny"}


def test_a_cursor_of_before_names_had_an_order_is_read(root: Path) -> None:
    folder = make_run(root, "task=train")
    file(folder)
    path = folder / "tracking.json"
    old = json.loads(path.read_text())
    del old["varied"]
    path.write_text(json.dumps(old))
    cursor = load_cursor(folder)
    assert cursor is not None and cursor.varied == [] and cursor.finished
    with Uploader(folder) as uploader:
        uploader.finish(make_report(folder, speed=9.0))
    assert len(all_runs(root)) == 1


def test_the_console_is_told_where_to_look(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    folder = make_run(root, "task=train")
    tracker = Tracker(folder, Tracking(name="mlflow"))
    assert tracker.where() == []
    tracker.start()
    assert tracker.finish(make_report(folder)) is None
    assert tracker.where() == [("In MLflow", "touchstone ui outputs")]
    cursor = load_cursor(folder)
    assert cursor is not None
    cursor.uri, cursor.experiment_id, cursor.run_id = "http://h:5000", "1", "abc"
    cursor.save(folder)
    (run, link), (_, charts) = tracker.where()
    assert (run, link) == ("In MLflow", "http://h:5000/#/experiments/1/runs/abc?workflowType=machine_learning")
    assert charts.endswith("viewStateShareKey=touchstone&compareRunsMode=CHART")
