"""Runs filed by a server whose store is PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import mlflow_server
import postgres
import pytest
from tracking_samples import free_port, make_report, make_run

from runner.config.schema import Tracking
from runner.tools.sync import main as sync
from runner.tracking import Tracker, store
from runner.tracking.page.saved_views import TAG, state_of
from runner.tracking.search import search

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(postgres.binaries() is None, reason="PostgreSQL is not installed: apt install postgresql"),
]


def test_runs_are_filed_found_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr("runner.tracking.tracker.LIMITS", store.http_limits(timeout_s=60, retries=1))
    where = postgres.binaries()
    assert where is not None
    with (
        postgres.running(where) as database,
        mlflow_server.running(tmp_path / "server", free_port(), backend=database) as uri,
    ):
        root = tmp_path / "outputs"
        fast = make_run(root, f"tracking.uri={uri}", "task=train", "precision=bf16", name="fast")
        slow = make_run(root, f"tracking.uri={uri}", "task=train", name="slow")
        tracker = Tracker(fast, Tracking(name="mlflow", uri=uri, flush_s=0.1), grace_s=180)
        tracker.start()
        assert tracker.finish(make_report(fast, speed=20.0)) is None
        make_report(slow, speed=10.0)
        assert sync([str(root)]) == 0
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("touchstone")
        assert state_of(experiment.tags[f"{TAG}touchstone"])["searchFilter"] == "tags.emulated = 'false'"
        runs = client.search_runs([experiment.experiment_id], "metrics.`throughput/steady` > 15")
        assert [run.info.run_name for run in runs] == ["bert bf16 train tiny"]
        assert [point.step for point in client.get_metric_history(runs[0].info.run_id, "train/loss")] == [
            1,
            2,
            3,
            4,
            5,
            6,
        ]
        assert runs[0].inputs.dataset_inputs[0].dataset.name == "sample data for bert"
        here = search("model=bert and throughput/steady < 15", uri=uri, root=root)
        assert [folder for folder, _ in here] == [slow]
        ((copy, report),) = search("precision=bf16", uri=uri, root=tmp_path / "nothing here")
        assert copy.name == "fast" and report.figures["throughput/steady"].value == 20.0
