"""A server that asks for a token or a password, and one that is reached through a proxy alone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import http_relay
import mlflow_server
import pytest
from tracking_samples import free_port, make_report, make_run

from runner.config.schema import Tracking
from runner.core.errors import ConfigurationError
from runner.tools.sync import main as sync
from runner.tracking import Tracker, store
from runner.tracking.search import search

pytestmark = pytest.mark.heavy
TOKEN, PASSWORD = "t0ken-of-ann", "s3cret-of-ann"
BASIC = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that anybody may use, and that stands behind what is tested."""
    number = free_port()
    with mlflow_server.running(tmp_path_factory.mktemp("server"), number):
        yield number


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no account of this machine's own; a busy machine's server gets its time."""
    for name in (*PROXIES, "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("runner.tracking.tracker.LIMITS", store.http_limits(timeout_s=60, retries=0))
    monkeypatch.setattr("runner.tools.sync.LIMITS", store.http_limits(timeout_s=60, retries=0))


def track(root: Path, uri: str, name: str) -> tuple[Path, Tracker, str | None]:
    """A run as the engine leaves it, and what filing it says."""
    shown = store.public_uri(uri)
    folder = make_run(root, f"tracking.uri={shown}", f"tracking.experiment={name}", "task=train", name=name)
    tracker = Tracker(folder, Tracking(name="mlflow", uri=uri, experiment=name, flush_s=0.1), grace_s=180)
    tracker.start()
    return folder, tracker, tracker.finish(make_report(folder))


def everything(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def filed(port: int, experiment: str) -> str:
    """All that the server holds of an experiment's runs, as text, artifacts included."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"http://127.0.0.1:{port}")
    number = client.get_experiment_by_name(experiment).experiment_id
    runs = client.search_runs([number])
    assert [run.info.status for run in runs] == ["FINISHED"]
    text = [str(run.to_dictionary()) for run in runs]
    return "\n".join(text + [everything(Path(client.download_artifacts(run.info.run_id, ""))) for run in runs])


def test_a_token_is_used_and_written_nowhere(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with http_relay.relaying(port, accepted=[f"Bearer {TOKEN}"]) as gate:
        uri = f"http://127.0.0.1:{gate.port}"
        folder, _, warning = track(tmp_path, uri, "token")
        assert warning is not None and "401" in warning and gate.refused
        with pytest.raises(ConfigurationError, match="401"):
            search("", uri=uri, root=tmp_path)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
        before = gate.refused
        assert sync([str(folder)]) == 0
        assert folder in [found for found, _ in search("model=bert and task=train", uri=uri, root=tmp_path)]
        assert gate.refused == before
    said = capfd.readouterr()
    assert TOKEN not in everything(tmp_path) + filed(port, "token") + warning + said.out + said.err


def test_a_password_in_the_address_is_used_and_written_nowhere(
    tmp_path: Path, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with http_relay.relaying(port, accepted=[BASIC]) as gate:
        folder, tracker, warning = track(tmp_path, f"http://ann:{PASSWORD}@127.0.0.1:{gate.port}", "password")
        assert warning is None and not gate.refused and gate.asked
        ((_, link), _) = tracker.where()
        assert link.startswith(f"http://127.0.0.1:{gate.port}/#/experiments/")
        found = search("", uri=f"http://ann:{PASSWORD}@127.0.0.1:{gate.port}", root=tmp_path)
        assert folder in [one for one, _ in found]
    said = capfd.readouterr()
    assert PASSWORD not in everything(tmp_path) + filed(port, "password") + link + said.out + said.err


def test_a_server_behind_a_proxy(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "http://mlflow.invalid:5000"  # a name that nobody resolves: only the proxy knows where it is
    with http_relay.relaying(port) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://ann:{PASSWORD}@127.0.0.1:{proxy.port}")
        folder, _, warning = track(tmp_path, uri, "proxy")
        assert warning is None
        assert folder in [found for found, _ in search("", uri=uri, root=tmp_path)]
        assert proxy.asked and all(address.startswith(f"{uri}/") for address in proxy.asked)
        assert any("mlflow-artifacts" in address for address in proxy.asked), "files went through it too"
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name)
    assert PASSWORD not in everything(tmp_path) + filed(port, "proxy")
