"""A real MLflow server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_server import start, stop
from tracking_samples import add_events, free_port, make_report, make_run, wait_for

from runner.config.schema import Tracking
from runner.tools.sync import main
from runner.tracking import Tracker, store
from runner.tracking.cursor import load_cursor

pytestmark = pytest.mark.heavy


@pytest.fixture
def port() -> Iterator[int]:
    yield free_port()


def test_a_server_that_dies_in_the_middle_and_comes_back(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    # How long a run waits for a server is another test's matter; this one must pass on a busy machine too.
    monkeypatch.setattr("runner.tracking.tracker.LIMITS", store.http_limits(timeout_s=60, retries=1))
    server = start(tmp_path / "server", port)
    try:
        uri = f"http://127.0.0.1:{port}"
        folders = [make_run(tmp_path / "outputs", f"tracking.uri={uri}", name=name, steps=3) for name in ("a", "b")]
        first, second = (Tracker(folder, Tracking(name="mlflow", flush_s=0.1), grace_s=180) for folder in folders)
        first.start()
        assert first.finish(make_report(folders[0])) is None
        second.start()
        wait_for(lambda: (cursor := load_cursor(folders[1])) is not None and bool(cursor.offsets))
    finally:
        stop(server)
    add_events(folders[1], 4, 6)
    warning = second.finish(make_report(folders[1], status="failed"))
    assert warning is not None and "python -m runner.sync" in warning
    assert main([str(folders[1])]) == 1
    server = start(tmp_path / "server", port)
    try:
        assert main([str(tmp_path / "outputs")]) == 0
        assert main([str(tmp_path / "outputs")]) == 0
        client = MlflowClient(tracking_uri=uri)
        runs = client.search_runs([client.get_experiment_by_name("touchstone").experiment_id])
        by_folder = {run.data.tags["touchstone.run_folder"]: run for run in runs}
        assert len(runs) == 2
        assert {name: run.info.status for name, run in by_folder.items()} == {"a": "FINISHED", "b": "FAILED"}
        identifier = by_folder["b"].info.run_id
        losses = client.get_metric_history(identifier, "train/loss")
        assert [(point.step, point.value) for point in losses] == [(step, 1 / step) for step in range(1, 7)]
        assert len(client.get_metric_history(identifier, "throughput/steady")) == 1
        files = {item.path for item in client.list_artifacts(identifier)}
        assert {"run.yaml", "report.json", "events", "worker.log", "steps.csv"} <= files
        assert [item.path for item in client.list_artifacts(identifier, "events")] == ["events/rank0.log"]
    finally:
        stop(server)
