"""Run folders as the engine leaves them, and a loopback HTTP server that behaves badly on request."""

from __future__ import annotations

import functools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from hydra import compose, initialize_config_module

from runner.config import resolvers
from runner.config.compose import plain_values
from runner.config.division import Division
from runner.config.schema import Case, case_from_dict
from runner.core.events import EventWriter, Name
from runner.measure.step_records import StepsFile
from runner.record.report import Figure, Report

Way = Literal["error", "garbage", "hang", "drip", "close"]
START_MS = 1_700_000_000_000


@functools.cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    resolvers.register()
    with initialize_config_module("conf", version_base=None):
        config = compose("config", overrides=["vendor=cpu", "scale=tiny", *overrides])
    return plain_values(config)


def make_case(root: Path, *overrides: str) -> Case:
    return case_from_dict(_composed(("task=converge", *overrides)) | {"run": {"root": str(root)}})


def make_run(root: Path, *overrides: str, name: str = "10-00-00_case", steps: int = 6) -> Path:
    folder = root / "2026-01-02" / name
    folder.mkdir(parents=True)
    make_case(root, *overrides).save(folder / "run.yaml")
    add_events(folder, 1, steps)
    StepsFile.create(folder / "steps.csv")
    (folder / "worker.log").write_text("ready\n")
    return folder


def add_events(folder: Path, first: int, last: int, *, torn: bool = False) -> None:
    """One STEP_END per step, an evaluation after each third; a torn line at the end if asked."""
    writer = EventWriter(folder / "events" / "rank0.log", rank=0)
    if first == 1:
        quality = {"step": 0, "samples": 0, "quality": {"mlm_accuracy": 0.01}, "seconds": 0.2, "reached": False}
        writer.emit(Name.INIT_EVALUATION, quality, at=(START_MS, 1.0))
        writer.emit(Name.TRAIN_START, {"step": 0, "samples": 0}, at=(START_MS, 1.0))
    for step in range(first, last + 1):
        at = (START_MS + 1000 * step, 1.0 + step)
        speed = {"seconds": 1.0, "samples_per_second": 8.0, "learning_rate": None if step == 1 else 0.1 / step}
        told = {"phase": "window", "step": step, "samples": 8 * step, "loss": 1.0 / step, **speed}
        writer.emit(Name.STEP_END, told, at=at)
        if step % 3 == 0:
            quality = {"quality": {"mlm_accuracy": 0.1 * step}, "seconds": 0.2, "reached": False}
            writer.emit(Name.EVALUATE, {"step": step, "samples": 8 * step, **quality}, at=at)
    writer.close()
    if torn:
        with (folder / "events" / "rank0.log").open("a") as file:
            file.write('[PerfLog] {"event": "STEP_E')


def make_report(folder: Path, *, status: Any = "done", warnings: tuple[str, ...] = (), speed: float = 8.25) -> Report:
    error = None if status == "done" else {"class": "DivergedError", "message": "The loss became nan."}
    report = Report(
        status=status,
        exit_code={"done": 0, "failed": 7, "killed": 130}[status],
        error=error,
        case={"chip": "Xeon", "task": "converge"},
        figures={
            "throughput/steady": Figure(value=speed, unit="sequences/s"),
            "quality/mlm_accuracy": Figure(value=0.6, unit="1"),
            "run/emulated": Figure(value=0.0, unit="bool"),
            "energy/device_j": Figure(value=None, unit="J", reason="no sensor"),
        },
        precision={},
        division=Division(name="closed"),
        environment={"python": "3.11.7", "packages": {"torch": "2.9.0", "pytorch-lightning": "2.6.0"}},
        warnings=list(warnings),
    )
    report.save(folder / "report.json")
    return report


class BadServer(ThreadingHTTPServer):
    """Speaks just enough of MLflow's protocol to create a run, until it misbehaves in one of several ways."""

    daemon_threads = True

    def __init__(self, way: Way, *, after: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.way, self.after, self.requests = way, after, 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tested."""


_RUN = {"run": {"info": {"run_id": "r1", "experiment_id": "1", "lifecycle_stage": "active", "artifact_uri": "/x"}}}
_ANSWERS = {
    "experiments/get-by-name": {"experiment": {"experiment_id": "1", "name": "touchstone"}},
    "runs/create": _RUN,
}


class _Handler(BaseHTTPRequestHandler):
    server: BadServer

    def _handle(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests += 1
        if self.server.requests <= self.server.after:
            name = self.path.partition("?")[0].partition("/mlflow/")[2]
            self._answer(200, json.dumps(_ANSWERS.get(name, {})).encode())
        elif self.server.way == "error":
            self._answer(500, b"{}", retry_after=99)
        elif self.server.way == "garbage":
            self._answer(200, b"<html>")
        elif self.server.way == "hang":
            time.sleep(60)
        elif self.server.way == "drip":  # no read ever times out, and the answer never ends
            for _ in range(600):
                self.wfile.write(b"H")
                time.sleep(0.1)
        else:
            self.connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = _handle

    def _answer(self, status: int, body: bytes, *, retry_after: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def bad_server(way: Way, *, after: int = 0) -> Iterator[BadServer]:
    with BadServer(way, after=after) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def wait_for(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@functools.cache
def fresh_database(folder: Path) -> Path:
    """A database with its tables: making them takes seconds."""
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=f"sqlite:///{folder / 'template.db'}")
    return folder / "template.db"


def client_of(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def all_runs(root: Path) -> list[Any]:
    client = client_of(root)
    return list(client.search_runs([client.get_experiment_by_name("touchstone").experiment_id]))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
